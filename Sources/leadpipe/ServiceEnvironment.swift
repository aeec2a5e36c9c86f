import Deliveries
import Host
import Transports
import Wire

/// The environments that the services are started with.
enum ServiceEnvironment {
  /// Returns LEADPIPE_CHANNELS if it is set; otherwise builds it from the providers' settings.
  static func channels(_ environment: [String: String]) -> String {
    if let given = environment["LEADPIPE_CHANNELS"], !given.isEmpty { return given }
    return JSON.array(Providers.recipients(environment).map(\.document)).text
  }

  /// The environment of the gateway: ours without the worker's secrets, which no endpoint needs.
  /// - Parameter classes: the classes of the handlers that it serves. Those that are not in it get no login.
  static func gateway(
    _ environment: [String: String], _ classes: [TrustClass] = [.intake, .admin]
  ) -> [String: String] {
    let secrets = TrustClass.worker.grants.subtracting(TrustClass.intake.grants).subtracting(TrustClass.admin.grants)
    return service(
      environment, logins: Set(classes.compactMap(\.database?.setting)),
      also: Set(classes.compactMap(\.database?.streamSetting)), without: secrets)
  }

  /// The environment of the worker: ours without the secrets of endpoints, and what needs them.
  static func worker(_ environment: [String: String]) -> [String: String] {
    service(
      environment, logins: ["DATABASE_URL_WORKER"], also: ["DATABASE_URL_LISTEN"],
      without: [
        "ADMIN_API_KEY", "SUPABASE_JWT_ISSUER", "SUPABASE_JWKS", "SUPABASE_JWT_SECRET", "FORM_TOKEN_SECRET",
        "FORM_TOKENS", "FORM_WORK_BITS",
      ])
  }

  /// Keeps the database owner's login only if one of `logins` is missing, and the service key of a project, which has
  /// all rights, only if there is no such login either.
  private static func service(
    _ environment: [String: String], logins: Set<String>, also more: Set<String> = [], without secrets: Set<String>
  ) -> [String: String] {
    let hasAll = logins.allSatisfy { environment[$0] != nil }
    let allowed = logins.union(more).union(hasAll ? [] : ["DATABASE_URL"])
    let needsKey = !hasAll && environment["DATABASE_URL"] == nil
    var result = environment.filter { name, _ in
      name.hasPrefix("DATABASE_URL")
        ? allowed.contains(name) : !secrets.contains(name) && (needsKey || name != "SUPABASE_SERVICE_ROLE_KEY")
    }
    result["LEADPIPE_CHANNELS"] = channels(environment)
    return result
  }
}

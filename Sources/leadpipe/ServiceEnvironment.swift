import Deliveries
import Host
import Transports
import Wire

/// What the services are started with.
enum ServiceEnvironment {
  /// LEADPIPE_CHANNELS as it is set, or made from the providers' settings.
  static func channels(_ environment: [String: String]) -> String {
    if let given = environment["LEADPIPE_CHANNELS"], !given.isEmpty { return given }
    return JSON.array(Providers.recipients(environment).map(\.document)).text
  }

  /// The gateway's: all of ours but the worker's secrets, which no endpoint needs.
  static func gateway(_ environment: [String: String]) -> [String: String] {
    let secrets = TrustClass.worker.grants.subtracting(TrustClass.intake.grants).subtracting(TrustClass.admin.grants)
    return service(environment, logins: ["DATABASE_URL_INTAKE", "DATABASE_URL_ADMIN"], without: secrets)
  }

  /// The worker's: all of ours but the key of the admin.
  static func worker(_ environment: [String: String]) -> [String: String] {
    service(environment, logins: ["DATABASE_URL_WORKER"], without: ["ADMIN_API_KEY"])
  }

  /// The owner's login goes along only where a class has none of its own.
  private static func service(
    _ environment: [String: String], logins: Set<String>, without secrets: Set<String>
  ) -> [String: String] {
    let hasAll = logins.allSatisfy { environment[$0] != nil }
    let allowed = hasAll ? logins : logins.union(["DATABASE_URL"])
    var result = environment.filter { name, _ in
      name.hasPrefix("DATABASE_URL")
        ? allowed.contains(name) : !secrets.contains(name) && name != "SUPABASE_SERVICE_ROLE_KEY"
    }
    result["LEADPIPE_CHANNELS"] = channels(environment)
    return result
  }
}

import Host
import Leads
import Wire
import Worker

/// What the services are started with.
enum ServiceEnvironment {
  /// LEADPIPE_CHANNELS as it is set, or made from the providers' settings.
  static func channels(_ environment: [String: String]) -> String {
    if let given = environment["LEADPIPE_CHANNELS"], !given.isEmpty { return given }
    return JSON.array(Channel.configured(by: environment).map(\.document)).text
  }

  /// The gateway's: all of ours but the worker's secrets, which no endpoint needs.
  static func gateway(_ environment: [String: String]) -> [String: String] {
    let secrets = TrustClass.worker.grants.subtracting(TrustClass.intake.grants).subtracting(TrustClass.admin.grants)
    var result = environment.filter { !secrets.contains($0.key) && $0.key != "DATABASE_URL_WORKER" }
    result["LEADPIPE_CHANNELS"] = channels(environment)
    return result
  }

  /// The worker's: all of ours but the logins of endpoints and the key of the admin.
  static func worker(_ environment: [String: String]) -> [String: String] {
    var result = environment.filter {
      !["DATABASE_URL_INTAKE", "DATABASE_URL_ADMIN", "ADMIN_API_KEY"].contains($0.key)
    }
    result["LEADPIPE_CHANNELS"] = channels(environment)
    return result
  }
}

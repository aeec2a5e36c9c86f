import Contract
import Store
import StoreAccess
import Wire

/// Authenticates admin requests and forwards them to the database, which checks the credential in the same call that
/// does the work.
package struct AdminDatabase {
  package static let settings = Database.settings + [.adminKey]

  private let database: Database
  private let configured: String?

  package init(_ settings: Settings) {
    database = Database(settings, lockMilliseconds: 5000)
    configured = settings["ADMIN_API_KEY"]
  }

  /// Calls a function with the credential of the request. `reading` makes the function's argument from the request; if
  /// it fails, only authorised callers get the reason.
  package func call(
    _ function: Function, for request: Request, log: Log, reading: () throws(Problem) -> JSON
  ) throws(Problem) -> JSON {
    let credential = try Credential(request, configured: configured)
    let auth = credential.document(configured: configured)
    let deadline = request.deadline ?? .steady
    let argument: JSON
    do throws(Problem) {
      try credential.checkOrigin(of: request)
      argument = try reading()
    } catch {
      if credential.isUnproven, let auth {
        _ = try database.call(.showSession, ["auth": auth], deadline: deadline, log: log)
      }
      throw error
    }
    return try database.call(
      function, auth.map { argument.setting("auth", $0) } ?? argument, deadline: deadline, log: log)
  }

  /// Returns the call that wakes the workers after a function has queued work for them.
  func wakeCall(_ settings: Settings, _ afterwards: Afterwards) -> WakeCall {
    WakeCall(settings, over: database, afterwards)
  }

  /// Returns the session token of a request. Nil if the request uses a key or is bare.
  package func sessionToken(of request: Request) throws(Problem) -> String? {
    guard case .session(let token) = try Credential(request, configured: configured) else { return nil }
    return token
  }
}

extension Setting {
  /// ADMIN_API_KEY: grants all rights.
  package static let adminKey = Setting("ADMIN_API_KEY") { key in
    16...200 ~= key.utf8.count && key.utf8.allSatisfy { 0x21...0x7E ~= $0 }
      ? nil : "must have 16 to 200 visible ASCII characters, without spaces"
  }
}

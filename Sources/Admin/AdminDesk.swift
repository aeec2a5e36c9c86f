import Contract
import Store
import StoreAccess
import Wire

/// Where admin requests are let in and asked of the database: who asks is looked up in the call that answers.
package struct AdminDesk {
  package static let settings = Database.settings + [.adminKey]

  private let database: Database
  private let configured: String?

  package init(_ settings: Settings) {
    database = Database(settings, lockMilliseconds: 5000)
    configured = settings["ADMIN_API_KEY"]
  }

  /// Calls a function on behalf of whoever the request shows. `reading` makes its argument out of the request; where that fails, only
  /// who may ask is told why.
  package func ask(
    _ function: Function, for request: Request, log: Log, reading: () throws(Problem) -> JSON
  ) throws(Problem) -> JSON {
    let credential = try Credential(request, configured: configured)
    let auth = credential.document(configured: configured)
    let deadline = request.deadline ?? .now
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

  /// What wakes the workers once a function has queued something for them.
  func wakeCall(_ settings: Settings, _ afterwards: Afterwards) -> WakeCall {
    WakeCall(settings, over: database, afterwards)
  }

  /// The token of the session by which a request asks; nil where it asks by a key or by hand.
  package func sessionToken(of request: Request) throws(Problem) -> String? {
    guard case .session(let token) = try Credential(request, configured: configured) else { return nil }
    return token
  }
}

extension Setting {
  /// ADMIN_API_KEY: whoever has it may do all.
  package static let adminKey = Setting("ADMIN_API_KEY") { key in
    16...200 ~= key.utf8.count && key.utf8.allSatisfy { 0x21...0x7E ~= $0 }
      ? nil : "must have 16 to 200 visible ASCII characters, without blanks"
  }
}

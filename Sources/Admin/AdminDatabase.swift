import Contract
import Store
import StoreAccess
import Wire

/// Authenticates admin requests and forwards them to the database, which checks the credential in the same call that
/// does the work.
package struct AdminDatabase {
  package static let settings = Database.settings + [.adminKey] + AccessTokens.settings

  private let database: Database
  private let configured: String?
  private let tokens: AccessTokens?

  package init(_ settings: Settings) {
    database = Database.ofProcess(settings, lockMilliseconds: 5000)
    configured = settings["ADMIN_API_KEY"]
    tokens = AccessTokens(settings)
  }

  /// Calls a function with the credential of the request. `reading` makes the function's argument from the request; if
  /// it fails, only authorised callers get the reason.
  package func call(
    _ function: Function, for request: Request, log: Log, reading: () throws(Problem) -> JSON
  ) throws(Problem) -> JSON {
    try authorized(request) { credential throws(Problem) in
      try call(function, as: credential, for: request, log: log, reading: reading)
    }
  }

  /// Returns the caller, with the CSRF token if it uses a session.
  package func caller(of request: Request, log: Log) throws(Problem) -> JSON {
    try authorized(request) { credential throws(Problem) in
      let caller = try call(.showSession, as: credential, for: request, log: log) { [:] }
      guard case .session(let token) = credential else { return caller }
      return caller.setting("csrfToken", .string(Secret.csrfToken(of: token)))
    }
  }

  /// Opens a session with the token of a log-in link. A request that also has a key is rejected, like one with two keys.
  package func openSession(
    by login: String, for request: Request, log: Log, reading: () throws(Problem) -> JSON
  ) throws(Problem) -> JSON {
    guard request.isBare || configured != nil else { throw Problem(.adminNotConfigured) }
    guard !request.isBare, request.headers["x-admin-api-key"] == nil, request.headers["authorization"] == nil else {
      throw .unknownKey
    }
    return try call(.openSession, as: .login(login), for: request, log: log, reading: reading)
  }

  /// Checks the credential of a request, and its parameters by `reading`, and does nothing else.
  func check(_ request: Request, log: Log, reading: () throws(Problem) -> JSON) throws(Problem) {
    _ = try authorized(request) { credential throws(Problem) in
      try call(.showSession, as: credential, for: request, log: log) { () throws(Problem) in
        _ = try reading()
        return [:]
      }
    }
  }

  /// Opens an export with the credential of the request, on a connection of its own: this object's is for the calls
  /// that count requests, which may come while rows are read. Two calls, because what the first one writes must be
  /// committed before the long transaction of the second; both check the credential.
  /// - Returns: the rows, and the answer of the first call.
  func openExport(
    for request: Request, from exporting: Database, log: Log, reading: () throws(Problem) -> JSON
  ) throws(Problem) -> (rows: ExportRows, prepared: JSON) {
    try authorized(request) { credential throws(Problem) in
      var argument: JSON = [:]
      let prepared = try call(.prepareExport, as: credential, for: request, log: log) { () throws(Problem) in
        argument = try reading()
        return argument
      }
      if let auth = credential.document(configured: configured) { argument = argument.setting("auth", auth) }
      let rows = try exporting.attempt(.exportConversations, log: log) { () throws(StoreFailure) in
        try exporting.openExport(argument, deadline: request.deadline ?? .steady)
      }
      return (rows, prepared)
    }
  }

  /// Tries the credentials of a request in turn: a browser may send an old session beside the valid one.
  private func authorized<Result>(
    _ request: Request, _ work: (Credential) throws(Problem) -> Result
  ) throws(Problem) -> Result {
    var credentials = try Credential.all(of: request, configured: configured, tokens: tokens)
    let last = credentials.removeLast()
    for credential in credentials {
      do throws(Problem) { return try work(credential) } catch {
        guard [.keyRequired, .csrfTokenRequired, .userWithoutRights].contains(error.code) else { throw error }
      }
    }
    return try work(last)
  }

  private func call(
    _ function: Function, as credential: Credential, for request: Request, log: Log,
    reading: () throws(Problem) -> JSON
  ) throws(Problem) -> JSON {
    let auth = credential.document(configured: configured)
    let deadline = request.deadline ?? .steady
    let argument: JSON
    do throws(Problem) {
      try credential.checkOrigin(of: request)
      argument = try reading()
    } catch {
      if case .login = credential { throw .unknownKey }
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
}

extension Setting {
  /// ADMIN_API_KEY: grants all rights.
  package static let adminKey = Setting("ADMIN_API_KEY") { key in
    16...200 ~= key.utf8.count && key.utf8.allSatisfy { 0x21...0x7E ~= $0 }
      ? nil : "must have 16 to 200 visible ASCII characters, without spaces"
  }
}

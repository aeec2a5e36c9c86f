import Contract
import Store
import Wire

extension Database {
  /// The URL with the login for the handler's function calls.
  package static let url = Setting(
    "DATABASE_URL", required: true, unless: RestAddress.settings.map(\.name), leadsTo: .database
  ) { url in
    guard ["postgres://", "postgresql://"].contains(where: url.hasPrefix) else { return "must be a postgresql:// URL" }
    let login = url.utf8.drop { $0 != UInt8(ascii: ":") }.dropFirst(3).prefix { !"/?".utf8.contains($0) }
    return login.count(where: { $0 == UInt8(ascii: "@") }) > 1
      ? "must have every @ in the user name and the password encoded as %40" : nil
  }
  /// The role to set after the login, for hosts with one login for all.
  package static let role = Setting("LEADPIPE_ROLE") { role in
    role.utf8.allSatisfy { 0x61...0x7A ~= $0 || $0 == UInt8(ascii: "_") } ? nil : "must be the name of a role"
  }
  package static let settings = [url, role] + RestAddress.settings
  /// The URL of the session that listens, if DATABASE_URL leads to a transaction pooler.
  package static let listening = Setting("DATABASE_URL_LISTEN", leadsTo: .database, validate: url.validate)
  /// Whether the database is reached through the pooler of `leadpipe up`.
  package static let pooler = Setting.choice("POOLER", ["on", "off"])

  /// The session of DATABASE_URL; without it, the REST interface of SUPABASE_URL.
  /// - Parameters:
  ///   - url: overrides the one in the settings.
  ///   - lockMilliseconds: less than a step's time limit, so that a session that holds a lock makes a call fail
  ///     instead of the step. By REST, calls fail at their deadlines.
  package convenience init(_ settings: Settings, url: String? = nil, lockMilliseconds: Int = 2000) {
    if url == nil, let address = RestAddress(settings) {
      self.init(rest: address)
    } else {
      self.init(
        url: url ?? settings["DATABASE_URL"] ?? "", role: settings["LEADPIPE_ROLE"], lockMilliseconds: lockMilliseconds)
    }
  }

  /// A further connection for a query that may take long.
  package static func forLongQuery(_ settings: Settings, seconds: Int) -> Database {
    Database(
      url: settings["DATABASE_URL"] ?? "", role: settings["LEADPIPE_ROLE"], statementSeconds: seconds,
      lockMilliseconds: 5000)
  }

  /// Throws `misconfigured` if there is no DATABASE_URL, for what needs a session. `why` ends a sentence that begins
  /// with the name of the handler.
  package static func requireSession(_ settings: Settings, _ why: String) throws(Problem) {
    if RestAddress(settings) != nil { throw .misconfigured("\(why): set DATABASE_URL; SUPABASE_URL is not enough") }
  }

  /// The database of this process: one connection for the handler and for the counter of its requests. Made from the
  /// settings of the first call. Only for handlers, which have one thread.
  package static func ofProcess(_ settings: Settings, lockMilliseconds: Int = 2000) -> Database {
    if let shared { return shared }
    let made = Database(settings, lockMilliseconds: lockMilliseconds)
    shared = made
    return made
  }

  /// Unsafe only in a process with several threads, which no handler is.
  nonisolated(unsafe) private static var shared: Database?
}

import Contract
import Store
import Wire

extension Database {
  /// The URL with the login for the handler's function calls.
  package static let url = Setting("DATABASE_URL", required: true, leadsTo: .database) { url in
    ["postgres://", "postgresql://"].contains { url.hasPrefix($0) } ? nil : "must be a postgresql:// URL"
  }
  /// The role to set after the login, for hosts with one login for all.
  package static let role = Setting("LEADPIPE_ROLE") { role in
    role.utf8.allSatisfy { 0x61...0x7A ~= $0 || $0 == UInt8(ascii: "_") } ? nil : "must be the name of a role"
  }
  package static let settings = [url, role]

  /// - Parameter lockMilliseconds: less than a step's time limit, so that a session that holds a lock makes a call fail
  ///   instead of the step.
  package convenience init(_ settings: Settings, lockMilliseconds: Int = 2000) {
    self.init(
      url: settings["DATABASE_URL"] ?? "", role: settings["LEADPIPE_ROLE"], lockMilliseconds: lockMilliseconds)
  }
}

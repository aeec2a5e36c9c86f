import FoundationEssentials
import Glibc
import Store

/// How pgbouncer reaches the database of a URL.
struct PoolerServer: Equatable {
  /// The server part of an entry in pgbouncer's section [databases].
  let words: [String: String]
  /// The settings server_tls_…, which apply to all TCP connections of a pgbouncer; nil for a Unix socket.
  let tls: [String: String]?

  /// What pgbouncer cannot take over from a URL.
  struct Obstacle: Error { let reason: String }

  /// Where libpq of Debian looks for a socket if a URL names no host.
  private static let standardSockets = "/var/run/postgresql"
  /// What has no effect on the way to the server, or pgbouncer's own settings in its place.
  private static let ignored: Set<String> = [
    "application_name", "fallback_application_name", "client_encoding", "connect_timeout", "keepalives",
    "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "sslcompression",
  ]
  /// What makes no difference with this value only.
  private static let harmless = [
    "gssencmode": ["disable", "prefer"], "channel_binding": ["disable", "prefer"], "target_session_attrs": ["any"],
    "sslsni": ["1"],
  ]
  private static let taken: Set<String> = [
    "host", "hostaddr", "port", "user", "password", "dbname", "sslmode", "sslrootcert", "sslcert", "sslkey",
  ]

  /// - Parameter owner: the user that runs pgbouncer, who must be able to read the certificates.
  init(url: String, owner: Account) throws(Obstacle) {
    guard let given = ConnectionString(url)?.words.filter({ !$0.value.isEmpty }) else {
      throw Obstacle(reason: "it cannot be read")
    }
    for (name, value) in given.sorted(by: { $0.key < $1.key }) where !Self.taken.contains(name) {
      guard Self.ignored.contains(name) || Self.harmless[name]?.contains(value) == true else {
        throw Obstacle(reason: "pgbouncer has no \(name)")
      }
    }
    if given.values.contains(where: { $0.utf8.contains { $0 < 0x20 || $0 == 0x7F } }) {
      throw Obstacle(reason: "it contains a control character")
    }
    guard let user = given["user"] else { throw Obstacle(reason: "it names no user") }
    let host = given["hostaddr"] ?? given["host"] ?? Self.standardSockets
    if host.contains(",") { throw Obstacle(reason: "it names several hosts") }
    var words = ["host": host, "port": given["port"] ?? "5432", "user": user, "dbname": given["dbname"] ?? user]
    words["password"] = given["password"]
    self.words = words
    tls = try host.hasPrefix("/") || host.hasPrefix("@") ? nil : Self.tls(given, owner)
  }

  private static func tls(_ given: [String: String], _ owner: Account) throws(Obstacle) -> [String: String] {
    var mode = given["sslmode"] ?? "prefer"
    let files = [
      "sslrootcert": "server_tls_ca_file", "sslcert": "server_tls_cert_file", "sslkey": "server_tls_key_file",
    ]
    var settings: [String: String] = [:]
    for (name, setting) in files.sorted(by: { $0.key < $1.key }) {
      guard let file = given[name] else { continue }
      guard file.hasPrefix("/"), owner.canRead(file) else {
        throw Obstacle(reason: "\(owner.name), which runs pgbouncer, cannot read its \(name)")
      }
      settings[setting] = file
    }
    // libpq does the same.
    if mode == "require", given["sslrootcert"] != nil { mode = "verify-ca" }
    if mode.hasPrefix("verify"), given["sslrootcert"] == nil {
      throw Obstacle(reason: "sslmode=\(mode) needs sslrootcert")
    }
    if mode == "verify-full", given["hostaddr"] != nil {
      throw Obstacle(reason: "pgbouncer cannot verify the name of a host with hostaddr")
    }
    settings["server_tls_sslmode"] = mode
    return settings
  }
}

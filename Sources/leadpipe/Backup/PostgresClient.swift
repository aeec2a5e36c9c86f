import Contract
import FoundationEssentials
import Glibc
import Host
import Store

/// One of PostgreSQL's client programs: pg_dump, pg_restore or psql. It connects to one database. The password is in
/// its environment only: arguments are visible to all users of a machine.
struct PostgresClient {
  let name: String
  let path: String
  /// For its process: the address of the database, and what libpq reads from the environment of this one.
  let environment: [String: String]
  /// Arguments with the parts of the address that no environment variable can have.
  let address: [String]

  /// The words of an address that have no environment variable and may be seen by everyone.
  private static let harmless: Set<String> = [
    "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
    "fallback_application_name",
  ]

  /// Finds the program in PATH.
  init(_ name: String, for url: String?) throws {
    let own = processEnvironment()
    let folders = (own["PATH"] ?? "").split(separator: ":").map(String.init)
    guard
      let path = folders.map({ $0 + "/" + name }).first(where: { FileManager.default.isExecutableFile(atPath: $0) })
    else {
      throw CommandError("\(name) is not in PATH: install PostgreSQL's client programs (Debian: postgresql-client)")
    }
    self.name = name
    self.path = path
    var environment = own.filter { name, _ in
      name.hasPrefix("PG") || ["PATH", "HOME", "TMPDIR", "KRB5CCNAME", "KRB5_CONFIG"].contains(name)
    }
    environment.merge(["LC_ALL": "C.UTF-8", "TZ": "UTC"]) { $1 }
    environment["PGCONNECT_TIMEOUT"] = environment["PGCONNECT_TIMEOUT"] ?? "10"
    var address: [String] = []
    if let url {
      guard let given = ConnectionString(url) else { throw CommandError("libpq cannot read DATABASE_URL") }
      environment.merge(given.environment) { $1 }
      let words = given.withoutVariable.sorted { $0.key < $1.key }
      // Everyone can read arguments, and some of these words are secrets, such as sslpassword.
      if let word = words.first(where: { !Self.harmless.contains($0.key) }) {
        throw CommandError("\(name) cannot be given \(word.key): take it out of DATABASE_URL")
      }
      let rest = words.map { "\($0.key)=\(Self.quoted($0.value))" }
      if !rest.isEmpty { address = ["--dbname=" + rest.joined(separator: " ")] }
    }
    self.environment = environment
    self.address = address
  }

  /// Quotes a value of a connection string.
  private static func quoted(_ value: String) -> String {
    "'" + value.map { $0 == "'" || $0 == "\\" ? "\\\($0)" : String($0) }.joined() + "'"
  }
}

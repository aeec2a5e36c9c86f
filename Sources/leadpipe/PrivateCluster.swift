import FoundationEssentials
import Glibc
import Store
import Wire

/// The PostgreSQL of a state folder: a cluster of our own on a unix socket, with durable settings, that only the user who
/// runs Leadpipe can connect to. PostgreSQL refuses to run as root: for root it runs as the user `postgres`.
struct PrivateCluster {
  private let owner: Account
  private let binaries: String
  /// The cluster with its socket and log.
  let home: String
  private let sockets: String

  private var data: String { home + "/data" }
  private var log: String { home + "/postgres.log" }

  init(state: String) throws {
    guard let current = Account.current else { throw CommandError("this process runs as a user without a name") }
    if current.uid == 0 {
      guard let postgres = Account(named: "postgres") else {
        throw CommandError("there is no user postgres to run PostgreSQL as: install the package postgresql")
      }
      owner = postgres
    } else {
      owner = current
    }
    binaries = try Self.newestBinaries()
    home = Self.isReachable(state, by: owner) ? state + "/postgres" : "/var/lib/leadpipe/" + Self.mark(state)
    // A socket's path has at most 107 bytes.
    sockets = home.utf8.count <= 80 ? home + "/run" : "/tmp/leadpipe-" + Self.mark(state)
  }

  /// The URL of a login. The peer's user is checked against a map, so there are no passwords.
  func url(user: String, database: String = "leadpipe") -> String {
    let isPlain = { (byte: UInt8) in 0x30...0x39 ~= byte || 0x41...0x5A ~= byte || 0x61...0x7A ~= byte }
    let host = sockets.utf8.map { isPlain($0) ? String(Unicode.Scalar($0)) : "%" + String($0, radix: 16) }
    return "postgresql://\(user)@/\(database)?host=\(host.joined())"
  }

  /// Asks the kernel first: that costs nothing, so it can be asked often.
  var isRunning: Bool {
    guard let file = FileManager.default.contents(atPath: data + "/postmaster.pid"),
      let line = String(decoding: file, as: UTF8.self).split(separator: "\n").first, let pid = Int32(line),
      kill(pid, 0) == 0
    else { return false }
    return true
  }

  private var isReallyRunning: Bool {
    (try? Tool.run([binaries + "/pg_ctl", "status", "-D", data], as: owner, seconds: 10)) != nil
  }

  /// Makes the cluster at the first time, and starts it unless it runs.
  func start() throws {
    if !FileManager.default.fileExists(atPath: data + "/PG_VERSION") { try make() }
    try folder(sockets)
    if !isReallyRunning {
      try Tool.run(
        [
          binaries + "/pg_ctl", "start", "-D", data, "-l", log, "-w", "-t", "60", "-s", "-o",
          "-c listen_addresses='' -c unix_socket_directories='\(sockets)' -c unix_socket_permissions=0700",
        ], as: owner, seconds: 70)
    }
    let database = Database(url: url(user: "leadpipe", database: "postgres"))
    do { try database.create(named: "leadpipe", deadline: Instant.now.adding(seconds: 30)) } catch {
      throw CommandError("the private cluster does not answer: \(error); its log is \(log)")
    }
  }

  func stop() throws {
    guard isReallyRunning else { return }
    try Tool.run(
      [binaries + "/pg_ctl", "stop", "-D", data, "-m", "fast", "-w", "-t", "60", "-s"], as: owner, seconds: 70)
  }

  private func make() throws {
    try folder(home)
    // A folder that a first start left half made is made again; it has no cluster in it yet.
    try? FileManager.default.removeItem(atPath: data)
    try Tool.run(
      [
        binaries + "/initdb", "-D", data, "-U", "leadpipe", "-E", "UTF8", "--locale=C.UTF-8", "--data-checksums",
        "--auth-local=peer", "--auth-host=reject",
      ], as: owner, seconds: 120)
    let user = Account.current?.name ?? ""
    let logins = ["leadpipe", "leadpipe_intake", "leadpipe_worker", "leadpipe_admin", "service_role"]
    try write("local all all peer map=leadpipe\n", to: data + "/pg_hba.conf")
    // As ALTER SYSTEM would: two connections for each of the handlers that are in use.
    try write("max_connections = 200\n", to: data + "/postgresql.auto.conf")
    try write(logins.map { "leadpipe \(user) \($0)\n" }.joined(), to: data + "/pg_ident.conf")
  }

  /// A folder that belongs to the cluster's owner, closed to others.
  private func folder(_ path: String) throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    guard chmod(path, 0o700) == 0, geteuid() != 0 || chown(path, owner.uid, owner.gid) == 0 else {
      throw CommandError("\(path): \(String(cString: strerror(errno)))")
    }
  }

  private func write(_ text: String, to path: String) throws {
    let descriptor = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC)
    guard descriptor >= 0 else { throw CommandError("\(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    guard Console.write(text, to: descriptor) else { throw CommandError("\(path) cannot be written") }
  }

  /// Whether every folder on the way lets the owner through; root's own home does not.
  private static func isReachable(_ path: String, by owner: Account) -> Bool {
    guard geteuid() == 0 else { return true }
    return (try? Tool.run(["/usr/bin/test", "-x", path], as: owner, seconds: 5)) != nil
  }

  private static func newestBinaries() throws -> String {
    let root = "/usr/lib/postgresql"
    let versions = ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).compactMap { Int($0) }
      .filter { FileManager.default.isExecutableFile(atPath: "\(root)/\($0)/bin/initdb") }
    guard let newest = versions.max(), newest >= 15 else {
      throw CommandError("PostgreSQL 15 or later is not installed: apt-get install postgresql, or set DATABASE_URL")
    }
    return "\(root)/\(newest)/bin"
  }

  /// A short name for a path (FNV-1a).
  static func mark(_ path: String) -> String {
    String(path.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }, radix: 36)
  }
}

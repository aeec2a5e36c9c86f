import FoundationEssentials
import Glibc
import Store
import Wire

/// The private PostgreSQL cluster of a state folder. It listens on a unix socket only, has durable settings, and
/// accepts connections only from the user that runs Leadpipe. PostgreSQL refuses to run as root. If root runs Leadpipe,
/// the cluster therefore runs as the user `postgres`.
struct PrivateCluster {
  private let owner: Account
  private let binaries: String
  /// The folder with the cluster's data, its log and, if the path is short enough, its socket.
  let home: String
  private let sockets: String

  private var data: String { home + "/data" }
  private var log: String { home + "/postgres.log" }

  init(state: String) throws {
    guard let current = Account.current else { throw CommandError("the user that runs this process has no name") }
    if current.uid == 0 {
      guard let postgres = Account(named: "postgres") else {
        throw CommandError("the user postgres, which runs PostgreSQL, does not exist: install the package postgresql")
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

  /// Returns the URL for a login. PostgreSQL checks the peer's user against a map, so there are no passwords.
  func url(user: String, database: String = "leadpipe") -> String {
    let isPlain = { (byte: UInt8) in 0x30...0x39 ~= byte || 0x41...0x5A ~= byte || 0x61...0x7A ~= byte }
    let host = sockets.utf8.map { isPlain($0) ? String(Unicode.Scalar($0)) : "%" + String($0, radix: 16) }
    return "postgresql://\(user)@/\(database)?host=\(host.joined())"
  }

  /// True if the process in the cluster's PID file exists. This starts no program, so it can be called often.
  var isRunning: Bool {
    guard let file = FileManager.default.contents(atPath: data + "/postmaster.pid"),
      let line = String(decoding: file, as: UTF8.self).split(separator: "\n").first, let pid = Int32(line),
      kill(pid, 0) == 0
    else { return false }
    return true
  }

  private var isReallyRunning: Bool {
    isRunning && (try? Tool.run([binaries + "/pg_ctl", "status", "-D", data], as: owner, seconds: 10)) != nil
  }

  /// Creates the cluster if it does not exist, and starts it unless it is running.
  func start() throws {
    var status = stat()
    if stat(data, &status) == 0, status.st_uid != owner.uid {
      throw CommandError(
        "the database in \(home) belongs to \(Account.name(of: status.st_uid)), but would run as \(owner.name); run "
          + "`leadpipe up` as the user who made it, or set LEADPIPE_STATE to another folder")
    }
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
    do { try database.create(named: "leadpipe", deadline: Instant.steady.adding(seconds: 30)) } catch {
      throw CommandError("the private PostgreSQL cluster does not respond: \(error); see its log \(log)")
    }
  }

  func stop() throws {
    guard isReallyRunning else { return }
    try Tool.run(
      [binaries + "/pg_ctl", "stop", "-D", data, "-m", "fast", "-w", "-t", "60", "-s"], as: owner, seconds: 70)
  }

  private func make() throws {
    try folder(home)
    // Without PG_VERSION the folder is left over from an interrupted first start. It holds no cluster yet.
    try? FileManager.default.removeItem(atPath: data)
    try Tool.run(
      [
        binaries + "/initdb", "-D", data, "-U", "leadpipe", "-E", "UTF8", "--locale=C.UTF-8", "--data-checksums",
        "--auth-local=peer", "--auth-host=reject",
      ], as: owner, seconds: 120)
    let user = Account.current?.name ?? ""
    let logins = ["leadpipe", "leadpipe_intake", "leadpipe_worker", "leadpipe_admin", "service_role"]
    try write("local all all peer map=leadpipe\n", to: data + "/pg_hba.conf")
    // ALTER SYSTEM writes to this file too. The limit allows two connections for each handler in use.
    try write("max_connections = 200\n", to: data + "/postgresql.auto.conf")
    try write(logins.map { "leadpipe \(user) \($0)\n" }.joined(), to: data + "/pg_ident.conf")
  }

  /// Creates a folder that belongs to the cluster's owner and is closed to others.
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
    guard Console.write(text, to: descriptor) else { throw CommandError("cannot write \(path)") }
  }

  /// True if the owner may enter every folder on the path. Root's home, for example, is closed to `postgres`.
  private static func isReachable(_ path: String, by owner: Account) -> Bool {
    guard geteuid() == 0 else { return true }
    return (try? Tool.run(["/usr/bin/test", "-x", path], as: owner, seconds: 5)) != nil
  }

  private static func newestBinaries() throws -> String {
    let root = "/usr/lib/postgresql"
    let versions = ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).compactMap { Int($0) }
      .filter { FileManager.default.isExecutableFile(atPath: "\(root)/\($0)/bin/initdb") }
    guard let newest = versions.max(), newest >= 15 else {
      throw CommandError(
        "PostgreSQL 15 or later is not installed: run `apt-get install postgresql`, or set DATABASE_URL")
    }
    return "\(root)/\(newest)/bin"
  }

  /// Returns a short name for a path, made from its 64-bit FNV-1a hash.
  static func mark(_ path: String) -> String {
    String(path.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }, radix: 36)
  }
}

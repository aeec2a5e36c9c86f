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
    owner = try Account.ofDatabase()
    binaries = try Self.newestBinaries()
    home = OwnedFolder.isReachable(state, by: owner) ? state + "/postgres" : OwnedFolder.elsewhere(state)
    // A socket's path has at most 107 bytes.
    sockets = home.utf8.count <= 80 ? home + "/run" : "/tmp/leadpipe-" + OwnedFolder.mark(state)
  }

  /// Returns the URL for a login. PostgreSQL checks the peer's user against a map, so there are no passwords.
  func url(user: String, database: String = "leadpipe") -> String {
    "postgresql://\(user)@/\(database)?host=\(OwnedFolder.encoded(sockets))"
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
    try OwnedFolder.make(sockets, for: owner)
    let isRunning = isReallyRunning
    // A cluster of an earlier version does not know the pooler. PostgreSQL reads this file at its start.
    if try writeMap(), isRunning {
      try Tool.run([binaries + "/pg_ctl", "reload", "-D", data, "-s"], as: owner, seconds: 10)
    }
    if !isRunning {
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
    try OwnedFolder.make(home, for: owner)
    // Without PG_VERSION the folder is left over from an interrupted first start. It holds no cluster yet.
    try? FileManager.default.removeItem(atPath: data)
    try Tool.run(
      [
        binaries + "/initdb", "-D", data, "-U", "leadpipe", "-E", "UTF8", "--locale=C.UTF-8", "--data-checksums",
        "--auth-local=peer", "--auth-host=reject",
      ], as: owner, seconds: 120)
    try write("local all all peer map=leadpipe\n", to: data + "/pg_hba.conf")
    // ALTER SYSTEM writes to this file too. The limit allows two connections for each handler in use.
    try write("max_connections = 200\n", to: data + "/postgresql.auto.conf")
  }

  /// Writes which logins a user of the system has: ours all, and the pooler's user those of the classes. Returns false
  /// if the file had that already.
  private func writeMap() throws -> Bool {
    let classes = ["leadpipe_intake", "leadpipe_worker", "leadpipe_admin"]
    let user = Account.current?.name ?? ""
    var lines = (["leadpipe"] + classes + ["service_role"]).map { "leadpipe \(user) \($0)\n" }
    if owner.name != user { lines += classes.map { "leadpipe \(owner.name) \($0)\n" } }
    let file = data + "/pg_ident.conf"
    if FileManager.default.contents(atPath: file) == Data(lines.joined().utf8) { return false }
    try OwnedFolder.write(lines.joined(), to: file, for: owner)
    return true
  }

  private func write(_ text: String, to path: String) throws {
    let descriptor = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC)
    guard descriptor >= 0 else { throw CommandError("\(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    guard Console.write(text, to: descriptor) else { throw CommandError("cannot write \(path)") }
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
}

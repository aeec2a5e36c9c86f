import FoundationEssentials
import Glibc
import Wire

/// pgbouncer between the services and the database. It listens on a Unix socket in the state folder, and runs as the
/// user that also runs the private PostgreSQL, because it refuses to run as root. A service logs in to the pooler with
/// a secret of its class; the passwords of the database are known to the pooler only.
final class Pooler {
  let owner: Account
  private let home: String
  private let sockets: String
  private var secrets: [String: String]
  private var startedAt = Instant.steady
  /// Set by `take`.
  private(set) var settings: PoolerSettings

  private static let program = "/usr/sbin/pgbouncer"

  /// - Parameter state: the state folder.
  init(state: String) throws {
    owner = try Account.ofDatabase()
    home = OwnedFolder.isReachable(state, by: owner) ? state + "/pooler" : OwnedFolder.elsewhere(state) + "-pooler"
    // `/.s.PGSQL.6432` follows, and a socket's path has at most 107 bytes.
    sockets = home.utf8.count <= 90 ? home : "/tmp/leadpipe-pooler-" + OwnedFolder.mark(state)
    // The secrets stay the same, so that a shell that has loaded the settings of an earlier run can go on.
    secrets = Self.secrets(in: home + "/users", of: owner)
    settings = PoolerSettings(pools: [], home: home, sockets: sockets)
  }

  /// Throws if pgbouncer is not installed.
  static func requireProgram() throws {
    guard FileManager.default.isExecutableFile(atPath: program) else {
      throw CommandError("\(program) is missing: run `apt-get install pgbouncer`, or set POOLER=off")
    }
  }

  /// Makes a pool for each of the URLs. The keys are the names of the pools.
  func take(_ urls: [String: String]) throws(PoolerServer.Obstacle) {
    var pools: [PoolerSettings.Pool] = []
    for (name, url) in urls.sorted(by: { $0.key < $1.key }) {
      let server = try PoolerServer(url: url, owner: owner)
      let size = PoolerSettings.size(name, cores: PoolerSettings.cores)
      pools.append(.init(name: name, size: size, secret: secret(name), server: server))
    }
    guard Set(pools.compactMap(\.server.tls)).count <= 1 else {
      throw PoolerServer.Obstacle(reason: "the URLs have different TLS settings")
    }
    _ = secret("stats")
    settings = PoolerSettings(pools: pools, home: home, sockets: sockets)
  }

  /// Returns the URL of a pool. Its empty `options` tell a process that there is a pooler, which it would otherwise
  /// find out with a second connection.
  func url(_ name: String) -> String {
    let place = "host=\(OwnedFolder.encoded(sockets))&port=\(PoolerSettings.port)"
    return "postgresql://\(name):\(secret(name))@/\(name)?\(place)&options="
  }

  /// Writes the files that pgbouncer reads at its start.
  func prepare() throws {
    startedAt = .steady
    try OwnedFolder.make(home, for: owner)
    if sockets != home { try OwnedFolder.make(sockets, for: owner) }
    let names = Set(settings.pools.map(\.name) + ["stats"])
    let files = [
      "pgbouncer.ini": settings.ini, "hba": settings.hba,
      "users": PoolerSettings.users(secrets.filter { names.contains($0.key) }),
    ]
    for (name, text) in files { try OwnedFolder.write(text, to: home + "/" + name, for: owner) }
    // pgbouncer refuses to start if another process has got the number in an old file. Its log is that of one run.
    for name in ["pid", "log"] { unlink(home + "/" + name) }
  }

  /// The command that runs it in the foreground. It ends with its parent.
  var command: (path: String, arguments: [String]) {
    let user =
      geteuid() == 0 ? ["--reuid=\(owner.uid)", "--regid=\(owner.gid)", "--clear-groups"] : []
    return (
      "/usr/bin/setpriv",
      user + [
        "--no-new-privs", "--pdeathsig=TERM", "/usr/bin/prlimit", "--nofile=\(PoolerSettings.files)", "--core=0",
        Self.program, "--quiet", home + "/pgbouncer.ini",
      ]
    )
  }

  var log: String { home + "/log" }

  /// True if it accepts connections.
  var isListening: Bool {
    let path = "\(sockets)/.s.PGSQL.\(PoolerSettings.port)"
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let descriptor = socket(
      AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
      }
    }
  }

  /// True if its socket was deleted, for example together with the state folder. False in the first seconds of a
  /// process, which may not have made it yet.
  var hasLostSocket: Bool {
    startedAt.adding(seconds: 3) <= .steady && access("\(sockets)/.s.PGSQL.\(PoolerSettings.port)", F_OK) != 0
  }

  private func secret(_ name: String) -> String {
    if let secret = secrets[name] { return secret }
    let secret = StateFolder.randomSecret()
    secrets[name] = secret
    return secret
  }

  /// Reads the secrets of an earlier run. Ignores a file that another user could have written.
  private static func secrets(in file: String, of owner: Account) -> [String: String] {
    var status = stat()
    guard lstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_uid == owner.uid,
      status.st_mode & 0o077 == 0, let data = FileManager.default.contents(atPath: file)
    else { return [:] }
    var secrets: [String: String] = [:]
    for line in String(decoding: data, as: UTF8.self).split(separator: "\n") {
      let parts = line.split(separator: "\"", omittingEmptySubsequences: false)
      if parts.count == 5, parts[3].utf8.count == 64 { secrets[String(parts[1])] = String(parts[3]) }
    }
    return secrets
  }
}

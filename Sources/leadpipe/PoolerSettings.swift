import Glibc

/// The text of pgbouncer's files. All sizes and time limits of the pooler are here.
struct PoolerSettings {
  /// The sessions in the database of one login, which all processes with this login share.
  struct Pool {
    /// The name of the database and of the user at the pooler.
    let name: String
    let size: Int
    let secret: String
    let server: PoolerServer
  }

  let pools: [Pool]
  let home: String
  /// The folder of the socket.
  let sockets: String

  /// The part of the socket's name after `.s.PGSQL.`.
  static let port = 6432

  /// Returns the size of a pool on a machine with `cores`. A capture mostly waits for the disk, so there are more
  /// sessions than cores. A worker needs ten: one for claims, two for each of three channels, one for each of
  /// sla-sweep, follow-up-sweep and data-prune. A receipt-sweep takes one that is free.
  /// `owner` is used by all classes that have no login of their own.
  static func size(_ name: String, cores: Int) -> Int {
    switch name {
    case "intake": min(max(4 * cores, 8), 40)
    case "worker": min(max(2 * cores, 10), 16)
    case "admin": min(max(2 * cores, 6), 16)
    default: ["intake", "worker", "admin"].map { size($0, cores: cores) }.reduce(0, +)
    }
  }

  static var cores: Int { max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 1) }

  /// The sessions in the database, of all pools together.
  var sessions: Int { pools.map(\.size).reduce(0, +) }

  /// The connections to the pooler: as many as the hard limit for open files allows, at most 4000.
  var clients: Int { max(min(Int(clamping: Self.files) - sessions - 64, 4000), 100) }

  /// The hard limit for open files, but no more than the pooler can use.
  static var files: UInt {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    return min(UInt(limit.rlim_max), 8192)
  }

  /// pgbouncer.ini. Start-up options are refused, so that a process notices that it has to send its time limits with
  /// each call.
  var ini: String {
    """
    ;; Written by `leadpipe up` at every start.
    [databases]
    \(pools.map(Self.entry).joined(separator: "\n"))

    [pgbouncer]
    pool_mode = transaction
    listen_addr =
    listen_port = \(Self.port)
    unix_socket_dir = \(sockets)
    unix_socket_mode = 0700
    auth_type = hba
    auth_hba_file = \(home)/hba
    auth_file = \(home)/users
    pidfile = \(home)/pid
    logfile = \(home)/log
    log_connections = 0
    log_disconnections = 0
    log_pooler_errors = 0
    log_stats = 0
    stats_users = stats
    ignore_startup_parameters =
    max_client_conn = \(clients)
    listen_backlog = 1024
    ;; Seconds. A request that gets no session in this time is answered with 503.
    query_wait_timeout = 2
    client_login_timeout = 5
    ;; No handler keeps a transaction open between two statements.
    idle_transaction_timeout = 15
    server_connect_timeout = 5
    ;; So soon after a restart of the database, leads are stored again. No session is opened more often than that.
    server_login_retry = 0.2
    server_idle_timeout = 600
    server_lifetime = 3600
    \(tls.map { "\($0.key) = \($0.value)" }.sorted().joined(separator: "\n"))

    """
  }

  private var tls: [String: String] { pools.compactMap(\.server.tls).first ?? [:] }

  /// The rules of access: each login may use its own pool, and no other. The secrets are sent as they are, because only
  /// the user that runs pgbouncer, who has them in a file, can listen on its socket. A hash would take each process a
  /// millisecond, most of it to load OpenSSL's algorithms.
  var hba: String {
    let rules = pools.map(\.name).map { "\($0) \($0)" } + ["pgbouncer stats"]
    return rules.map { "local \($0) password\n" }.joined()
  }

  /// The secrets of the logins, by their names.
  static func users(_ secrets: [String: String]) -> String {
    secrets.sorted { $0.key < $1.key }.map { "\"\($0.key)\" \"\($0.value)\"\n" }.joined()
  }

  private static func entry(_ pool: Pool) -> String {
    let words = pool.server.words.sorted { $0.key < $1.key }.map { name, value in
      "\(name)='\(value.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''"))'"
    }
    return "\(pool.name) = \(words.joined(separator: " ")) pool_size=\(pool.size)"
  }
}

import ArgumentParser
import Contract
import Glibc
import Host
import Store
import Wire

/// How the services reach the database.
private final class Route {
  /// True if they go through the pooler.
  var isPooled = false
}

/// All parts of an instance, in the order in which they start.
struct Installation {
  var environment: [String: String]
  private let given: [String: String]
  let state: StateFolder
  let layout = Layout()
  private var supervisor: Supervisor
  private let cluster: PrivateCluster?
  /// Nil with POOLER=off.
  private let pooler: Pooler?
  /// The settings with which the services reach the database through the pooler.
  private var pooled: [String: String] = [:]
  private let route = Route()
  let port: Int
  /// The address at which this machine reaches its gateway.
  let host: String
  private var mustStop = false
  /// True if anything has been started that must be stopped.
  private var hasStarted = false
  /// True if the log is shortened.
  private let isShort: Bool
  private let log: Log

  init(_ environment: [String: String], _ state: StateFolder, isShort: Bool) throws {
    self.isShort = isShort
    self.environment = environment
    given = environment
    port = environment["PORT"].flatMap { Int($0) } ?? 4000
    self.environment["PORT"] = String(port)
    self.environment["DEMO"] = environment["DEMO"] ?? "on"
    host = environment["LEADPIPE_HOST"].flatMap { $0 == "0.0.0.0" ? nil : $0 } ?? "127.0.0.1"
    self.state = state
    let log = Log(environment)
    self.log = log
    let cluster = environment["DATABASE_URL"] == nil ? try PrivateCluster(state: state.path) : nil
    self.cluster = cluster
    let pooler = environment["POOLER"] != "off" ? try Pooler(state: state.path) : nil
    self.pooler = pooler
    let route = self.route
    var ticks = 0
    let signals: SignalPipe
    do throws(Child.Failure) { signals = try SignalPipe([SIGTERM, SIGINT, SIGHUP, SIGCHLD]) } catch {
      throw CommandError(error.reason)
    }
    var complaint: String?
    supervisor = Supervisor(signals: signals, log: log) {
      ticks += 1
      do {
        if try state.restore() { log.warn("The state folder was deleted: it was made again", ["folder": state.path]) }
        complaint = nil
      } catch {
        if complaint != "\(error)" {
          log.error("The state folder was deleted and cannot be made again", ["reason": "\(error)"])
        }
        complaint = "\(error)"
      }
      var restarts: [String] = []
      if route.isPooled, pooler?.hasLostSocket == true {
        if complaint == nil {
          // It writes new files.
          restarts = ["pooler"]
        } else {
          log.error("The pooler has lost its folder: connecting directly to the database")
          route.isPooled = false
          restarts = ["gateway", "worker"]
        }
      }
      guard ticks % 5 == 0, let cluster, !cluster.isRunning else { return restarts }
      log.error("PostgreSQL ended: starting it again")
      do { try cluster.start() } catch { log.error("PostgreSQL cannot be started", ["reason": "\(error)"]) }
      return restarts
    }
  }

  /// Starts the parts one after the other, and prints a line for each.
  mutating func open() throws {
    if FreePort.isAnswering(port, host: host) { throw CommandError("port \(port) is in use; set PORT to another") }
    let hasOwnKey = try addWhatIsMissing()
    var sink = ServiceEnvironment.channels(environment) == "[]" ? placeSink() : nil
    try check()
    if let cluster {
      say("database", "PostgreSQL in \(cluster.home)")
      hasStarted = true
      try cluster.start()
    } else {
      say("database", "using DATABASE_URL")
    }
    let applied = try Migrator(url: KnownSettings.ownerURL(environment) ?? "").migrate().applied
    say("migrate", applied.last.map { "applied \(applied.count) migrations, the last is \($0)" } ?? "nothing to do")
    try requireLogins(environment)
    hasStarted = true
    try startPooler()
    if sink != nil { sink = try startSink() }
    say("gateway", "on port \(port)")
    try supervisor.start("gateway", layout.gateway, environment: forService { ServiceEnvironment.gateway($0) })
    try wait(for: "gateway", on: [port], host)
    if !hasWorker {
      say("worker", "not started: ENABLE_NOTIFICATION_WORKER=false, events stay queued")
    } else {
      say("worker", "delivers notifications")
      try supervisor.start("worker", layout.leadpipe, ["worker"], environment: forService(ServiceEnvironment.worker))
    }

    try state.write(settings: own)
    say("ready", "http://\(host):\(port)")
    if let panel = panelLine { say("panel", panel) }
    if hasDemo { say("demo", "http://\(host):\(port)/demo (chatbot and forms)") }
    say("admin key", hasOwnKey ? "from ADMIN_API_KEY" : state.adminKeyFile)
    if let sink { say("received", "\(sink.page) or \(sink.file)") }
    say("settings", "\(state.settingsFile), for psql, pipelines and `leadpipe invoke`")
    if isShort { say("log", "one line for each lead; LOG_LEVEL=info shows every line") }
    say("try", example)
  }

  private var hasWorker: Bool { environment["ENABLE_NOTIFICATION_WORKER"] != "false" }

  /// Returns what makes the environment of a service at each of its starts: with the pooler while it can be used.
  private func forService(_ make: @escaping ([String: String]) -> [String: String]) -> () -> [String: String] {
    let pooled = environment.merging(pooled) { $1 }
    let direct = environment.merging(["POOLER": "off"]) { $1 }
    return { [route] in make(route.isPooled ? pooled : direct) }
  }

  private var classes: [TrustClass] { hasWorker ? [.intake, .worker, .admin] : [.intake, .admin] }

  /// Ends the command with the exit status for wrong settings if a class cannot call its functions.
  private func requireLogins(_ environment: [String: String]) throws {
    let errors = ClassLogins.errors(environment, of: classes)
    if errors.isEmpty { return }
    Console.printError(errors.map { $0 + "\n" }.joined())
    throw ExitCode(ExitStatus.misconfigured)
  }

  /// Starts the pooler between the services and the database, unless it is off or there is one already. Where it cannot
  /// reach an external database as the services can, they connect directly.
  private mutating func startPooler() throws {
    pooled = ["POOLER": "off"]
    guard let pooler else { return say("pooler", "off: POOLER=off") }
    let urls = try PoolerChoice.direct(environment)
    if urls.isEmpty { return say("pooler", "off: there is a pooler in front of the database already") }
    try Pooler.requireProgram()
    do {
      let settings = try PoolerChoice.settings(urls, of: pooler, environment)
      let command = pooler.command
      try supervisor.start("pooler", command.path, command.arguments, environment: { [:] }) { [state] in
        guard state.isIntact else { throw CommandError("\(state.path) is no longer the state folder") }
        try pooler.prepare()
      }
      try waitForPooler(pooler)
      let errors = ClassLogins.errors(environment.merging(settings) { $1 }, of: classes)
      if let error = errors.first { throw PoolerServer.Obstacle(reason: error) }
      pooled = settings
      route.isPooled = true
      let past =
        settings["DATABASE_URL_INTAKE_STREAM"] == nil ? "" : ", and \(PoolerChoice.sessionsPast(environment)) past it"
      say("pooler", "pgbouncer, at most \(pooler.settings.sessions) connections to the database\(past)")
    } catch let obstacle as PoolerServer.Obstacle {
      supervisor.stop(["pooler"], seconds: 5)
      guard cluster == nil else {
        throw CommandError("the pooler does not work: \(obstacle.reason); see \(pooler.log)")
      }
      log.warn("The database cannot be reached through a pooler: connecting directly", ["reason": obstacle.reason])
      say("pooler", "off")
    }
  }

  /// Waits until the pooler accepts connections, for at most 10 s.
  private mutating func waitForPooler(_ pooler: Pooler) throws {
    let end = Instant.steady.adding(seconds: 10)
    while !pooler.isListening {
      guard supervisor.isAlive("pooler"), Instant.steady < end else {
        throw PoolerServer.Obstacle(reason: "pgbouncer did not start; see its log \(pooler.log)")
      }
      usleep(10_000)
    }
  }

  /// Adds settings that were not given. True if the admin key was given.
  private mutating func addWhatIsMissing() throws -> Bool {
    if let cluster {
      environment["DATABASE_URL"] = cluster.url(user: "leadpipe")
      for name in ["intake", "worker", "admin"] {
        environment["DATABASE_URL_\(name.uppercased())"] = cluster.url(user: "leadpipe_\(name)")
      }
    }
    let hasOwnKey = environment["ADMIN_API_KEY"].map { !$0.isEmpty } ?? false
    if !hasOwnKey { environment["ADMIN_API_KEY"] = try state.adminKey() }
    if environment["FORM_TOKEN_SECRET"].map(\.isEmpty) ?? true {
      environment["FORM_TOKEN_SECRET"] = try state.formTokenSecret()
    }
    environment["LEADPIPE_WAKE"] = environment["LEADPIPE_WAKE"] ?? state.wakeSocket
    environment["LEADPIPE_OPERATIONS"] = environment["LEADPIPE_OPERATIONS"] ?? "unix:" + state.operationsSocket
    return hasOwnKey
  }

  /// Checks settings and handlers with the gateway and the worker, before anything is started for them.
  private func check() throws {
    var parts = [(path: layout.gateway, words: ["--check"], environment: ServiceEnvironment.gateway(environment))]
    if hasWorker {
      parts.append((layout.leadpipe, ["worker", "--check"], ServiceEnvironment.worker(environment)))
    }
    var isRight = true
    for part in parts {
      do throws(Child.Failure) {
        let child = try Child.service(part.path, part.words, environment: part.environment)
        isRight = child.wait() == .exited(0) && isRight
      } catch { throw CommandError(error.reason) }
    }
    if !isRight { throw ExitCode(ExitStatus.misconfigured) }
  }

  /// The secrets that have a file of their own.
  private static let secrets: Set = ["ADMIN_API_KEY", "FORM_TOKEN_SECRET"]

  /// The settings that this instance added to the given ones, and those that identify it. They contain no secret of the
  /// operator.
  private var own: [String: String] {
    // psql and `leadpipe migrate` need the database itself.
    let settings = environment.merging(pooled.filter { $0.key != "DATABASE_URL" }) { $1 }
    let logins = Set(given.filter { $0.key.hasPrefix("DATABASE_URL") }.values)
    var own = settings.filter {
      given[$0.key] != $0.value && !Self.secrets.contains($0.key) && !logins.contains($0.value)
    }
    own["PORT"] = String(port)
    own["LEADPIPE_STATE"] = state.path
    if given["LEADPIPE_CHANNELS"] == nil { own["LEADPIPE_CHANNELS"] = ServiceEnvironment.channels(environment) }
    return own
  }

  /// Runs until a signal to stop arrives. False if it stops because a service refuses its settings.
  mutating func keep() -> Bool {
    if mustStop { return true }
    supervisor.run()
    return !supervisor.mustEnd
  }

  /// Stops everything. Gateway and worker stop at the same time, and each finishes what it has begun. Then the sink, to
  /// which they may have been sending, and the pooler stop, and then the database. False if nothing was started.
  mutating func close() -> Bool {
    guard hasStarted else { return false }
    Console.print("stopping\n")
    supervisor.stop(["gateway", "worker"], seconds: 25)
    supervisor.stop(["sink", "pooler"], seconds: 5)
    do { try cluster?.stop() } catch { Console.printError("\(error)\n") }
    return true
  }

  /// Chooses ports for the sink, and adds its settings.
  private mutating func placeSink() -> SinkPlace {
    let sink = SinkPlace(after: port, folder: state.path)
    environment.merge(sink.settings) { $1 }
    return sink
  }

  /// Starts the sink. Its ports are chosen again, because another program may have taken one since.
  private mutating func startSink() throws -> SinkPlace {
    let sink = placeSink()
    say("sink", "no channel is configured: notifications go to \(sink.page)")
    try supervisor.start(
      "sink", layout.leadpipe, sink.words,
      environment: { [environment] in
        environment.filter { ["LOG_LEVEL", "LOG_FORMAT", "JOURNAL_STREAM"].contains($0.key) }
      })
    try wait(for: "sink", on: [sink.http, sink.smtp], "127.0.0.1")
    return sink
  }

  /// Waits until a service accepts connections on its ports, for at most 20 s. One that ends instead has logged the
  /// reason.
  private mutating func wait(for name: String, on ports: [Int], _ host: String) throws {
    let end = Instant.steady.adding(seconds: 20)
    while !mustStop, let port = ports.first(where: { !FreePort.isAnswering($0, host: host) }) {
      guard supervisor.isAlive(name) else { throw CommandError("the \(name) did not start") }
      guard Instant.steady < end else { throw CommandError("the \(name) does not listen on port \(port) after 20 s") }
      mustStop = supervisor.hasStopSignal()
      usleep(20_000)
    }
  }
}

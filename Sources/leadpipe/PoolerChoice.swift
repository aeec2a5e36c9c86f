import Contract
import Host
import Store
import Wire

/// Which of an instance's database URLs go through its pooler.
enum PoolerChoice {
  /// The URLs of the settings that services receive, and the names of their pools.
  private static let names = [
    "DATABASE_URL": "owner", "DATABASE_URL_INTAKE": "intake", "DATABASE_URL_WORKER": "worker",
    "DATABASE_URL_ADMIN": "admin",
  ]

  /// Returns the URLs for the pools by the names of their settings: those that a service receives and that lead to
  /// PostgreSQL itself. Each is asked, because no setting tells whether a URL leads to a pooler.
  static func direct(_ environment: [String: String]) throws -> [String: String] {
    let received = ServiceEnvironment.gateway(environment).merging(ServiceEnvironment.worker(environment)) { $1 }
    var urls: [String: String] = [:]
    for (setting, url) in received.filter({ names[$0.key] != nil }).sorted(by: { $0.key < $1.key }) {
      let database = Database(url: url)
      do throws(StoreFailure) {
        let isPooled = try database.leadsToPooler(deadline: Instant.steady.adding(seconds: 10))
        if !isPooled { urls[setting] = url }
      } catch { throw CommandError("\(setting): \(error.brief)") }
    }
    return urls
  }

  /// Makes a pool for each URL, and returns the settings of the services.
  static func settings(_ urls: [String: String], of pooler: Pooler, _ environment: [String: String]) throws(PoolerServer
    .Obstacle) -> [String: String]
  {
    var byPool: [String: String] = [:]
    for (setting, url) in urls { byPool[names[setting] ?? ""] = url }
    try pooler.take(byPool)
    var settings = ["POOLER": "on"]
    if let past = past(urls, pooler.settings.sessions, environment) { settings["DATABASE_URL_INTAKE_STREAM"] = past }
    for setting in urls.keys { settings[setting] = pooler.url(names[setting] ?? "") }
    // The login of class worker, past the pooler, for the session that listens.
    settings["DATABASE_URL_LISTEN"] =
      environment["DATABASE_URL_LISTEN"] ?? environment["DATABASE_URL_WORKER"] ?? environment["DATABASE_URL"]
    return settings
  }

  /// Returns the URL with which the stream processes of class intake go past the pooler; nil if they have another one,
  /// or if the database does not allow their sessions beside those of the pooler.
  private static func past(_ urls: [String: String], _ pooled: Int, _ environment: [String: String]) -> String? {
    let setting = environment["DATABASE_URL_INTAKE"] == nil ? "DATABASE_URL" : "DATABASE_URL_INTAKE"
    guard environment["DATABASE_URL_INTAKE_STREAM"] == nil, let url = urls[setting] else { return nil }
    let allowed = try? Database(url: url).allowedSessions(deadline: Instant.steady.adding(seconds: 10))
    return (allowed ?? 0) >= pooled + sessionsPast(environment) + reserve ? url : nil
  }

  /// The handlers of class intake that go through the pooler, because they report about it, or use no database.
  private static let notPast: Set = ["health-check", "form-token", "unsubscribe-page"]

  /// The most sessions of stream processes that go past the pooler: those of the processes of each other handler. Twice,
  /// because a process that is replaced ends a little after the other has started.
  static func sessionsPast(_ environment: [String: String]) -> Int {
    let handlers = TrustClass.table.count { $0.value == .intake && !notPast.contains($0.key) }
    return 2 * handlers * (environment["LEADPIPE_STREAM_PROCESSES"].flatMap { Int($0) } ?? 2)
  }

  /// The sessions that migrations, wake-listen and operators need beside the pooler's.
  private static let reserve = 4
}

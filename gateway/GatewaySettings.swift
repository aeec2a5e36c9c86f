import Contract
import Glibc
import Host
import Limits
import Wire

/// What the operator has set, checked: every fault is found before any is reported.
struct GatewaySettings: Sendable {
  /// Where requests come from, and where the operator asks; nil where nobody can.
  let address: ListeningAddress
  let operations: ListeningAddress?
  let handlerFolder: String
  let trustFile: String?
  let trust: [String: Trusted]
  let modes: ProcessModes
  /// For processes that take one request.
  let admission: AdmissionLimits
  /// How many processes of a warm handler wait for requests.
  let spares: Int
  let stream: StreamLimits
  /// The limits of the classes that are counted.
  let limits: [RateClass: RateLimit]
  let proxies: TrustedProxies
  let clientConnections: Int
  let budgets: Budgets
  /// What takes longer is logged as slow; nil where nothing is.
  let slow: Duration?
  /// Whose pages may read replies.
  let origins: [WebOrigin]

  init(_ environment: [String: String]) throws(Problem) {
    let settings = try Settings(Self.declared, from: environment)
    if let listen = settings["LEADPIPE_LISTEN"] {
      address = .unix(path: String(listen.dropFirst("unix:".count)))
    } else {
      address = .tcp(host: settings["LEADPIPE_HOST"] ?? "127.0.0.1", port: settings.number("PORT", default: 4000))
    }
    handlerFolder = settings["LEADPIPE_HANDLERS"] ?? Self.folderOfThisProgram + "/handlers"
    trustFile = settings["LEADPIPE_TRUST"]
    trust = try TrustFile.entries(settings)
    modes = settings["LEADPIPE_PROCESS"].flatMap { ProcessModes($0) } ?? ProcessModes()
    spares = settings.number("LEADPIPE_WARM_SPARES", default: 2)
    stream = StreamLimits(
      processes: settings.number("LEADPIPE_STREAM_PROCESSES", default: 2),
      window: settings.number("LEADPIPE_STREAM_WINDOW", default: 64),
      waiting: settings.number("LEADPIPE_STREAM_QUEUE", default: 256),
      longestWait: .milliseconds(settings.number("LEADPIPE_QUEUE_MS", default: 1000)),
      requests: settings.number("LEADPIPE_STREAM_REQUESTS", default: 100_000),
      age: .seconds(60 * settings.number("LEADPIPE_STREAM_MINUTES", default: 10)))
    let concurrency = settings.number("LEADPIPE_CONCURRENCY", default: 16)
    admission = AdmissionLimits(
      places: concurrency, placesOfOne: settings.number("LEADPIPE_HANDLER_CONCURRENCY", default: concurrency),
      waitingOfOne: settings.number("LEADPIPE_QUEUE", default: 256),
      longestWait: .milliseconds(settings.number("LEADPIPE_QUEUE_MS", default: 1000)))
    operations = settings["LEADPIPE_OPERATIONS"].flatMap { OperationsAddress($0) }.map { address in
      switch address {
      case .tcp(let host, let port): .tcp(host: host, port: port)
      case .unix(let path): .unix(path: path)
      }
    }
    let slowest = settings["LEADPIPE_SLOW_MS"] == "off" ? 0 : settings.number("LEADPIPE_SLOW_MS", default: 1000)
    slow = slowest > 0 ? .milliseconds(slowest) : nil
    clientConnections = settings.number("LEADPIPE_CLIENT_CONNECTIONS", default: 256)
    budgets = Budgets(environment)
    limits = Dictionary(
      uniqueKeysWithValues: RateClass.allCases.compactMap { rateClass in
        rateClass.limit(settings[rateClass.settingName]).map { (rateClass, $0) }
      })
    proxies = settings["TRUSTED_PROXIES"].flatMap { TrustedProxies($0) } ?? TrustedProxies()
    let site = settings["FRONTEND_URL"].flatMap { WebOrigin(ofAddress: $0) }
    origins = [site].compactMap { $0 } + (settings["ALLOWED_ORIGINS"].flatMap { WebOrigin.list($0) } ?? [])
  }

  /// What the trust file says now.
  func trustAgain() throws(Problem) -> [String: Trusted] {
    try trustFile.map { path throws(Problem) in try TrustFile(path: path).entries } ?? [:]
  }

  /// For the operator: no secret is among them.
  var document: JSON {
    [
      "address": .string(address.text()), "operations": operations.map { .string($0.text()) } ?? .null,
      "handlers": .string(handlerFolder), "trust": trustFile.map { .string($0) } ?? .null,
      "concurrency": JSON(admission.places), "handlerConcurrency": JSON(admission.placesOfOne),
      "queue": JSON(admission.waitingOfOne), "queueMs": JSON(admission.longestWait.milliseconds),
      "warmSpares": JSON(spares), "streamProcesses": JSON(stream.processes), "streamWindow": JSON(stream.window),
      "streamQueue": JSON(stream.waiting), "slowMs": JSON(slow?.milliseconds ?? 0),
      "clientConnections": JSON(clientConnections), "requestLine": JSON(budgets.requestLine),
      "headers": JSON(budgets.headers), "headerMs": JSON(budgets.headerMs),
      "bodyMs": JSON(budgets.bodyMs), "body": JSON(budgets.body),
      "handlerMs": budgets.handlerMs.map { JSON($0) } ?? .null, "reply": JSON(budgets.reply),
      "stderr": JSON(budgets.errors), "graceMs": JSON(budgets.graceMs),
      "rateLimits": .object(
        RateClass.allCases.map { rateClass in
          .init(rateClass.rawValue, .string(limits[rateClass].map { "\($0.count)/\($0.seconds)" } ?? "off"))
        }),
    ]
  }

  static let declared: [Setting] =
    [
      .number("PORT", 0...65_535),
      Setting("LEADPIPE_HOST"),
      Setting("LEADPIPE_LISTEN") { value in
        value.hasPrefix("unix:/") && value.utf8.count <= "unix:".count + 107
          ? nil : "must be unix: and an absolute path of at most 107 bytes"
      },
      Setting("LEADPIPE_HANDLERS"),
      TrustFile.setting,
      .allowedOrigins, .frontendURL, Setting("TRUSTED_PROXIES", fault: TrustedProxies.fault),
      Setting("RATE_LIMIT_STORE", fault: RateClass.storeFault), .logLevel, .logFormat,
    ] + ProcessModes.settings + GatewayLimits.settings
    + RateClass.allCases.map { Setting($0.settingName, fault: RateClass.fault) }

  /// The folder that this executable lies in, whatever it was called by.
  private static var folderOfThisProgram: String {
    var buffer = [UInt8](repeating: UInt8(0), count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &buffer, buffer.count)
    let path = String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
    return path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
  }
}

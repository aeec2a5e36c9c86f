import Contract
import Glibc
import Host
import Limits
import Wire

/// The checked settings of the gateway. All errors are reported together.
struct GatewaySettings: Sendable {
  /// The address on which the gateway serves clients.
  let address: ListeningAddress
  /// The address on which the gateway serves web servers by SCGI; nil if there is none.
  let scgi: ListeningAddress?
  /// The address of the operations interface; nil if there is none.
  let operations: ListeningAddress?
  let handlers: HandlerSource
  let trust: [String: Trusted]
  /// The limits of processes that take a single request.
  let admission: AdmissionLimits
  let stream: StreamLimits
  /// The rate limits. A class without an entry has no limit.
  let limits: [RateClass: RateLimit]
  /// True if the requests are counted in the database, for all gateways together.
  var sharesLimits: Bool { handlers.sharesLimits }
  let proxies: TrustedProxies
  let clientConnections: Int
  let budgets: Budgets
  /// A request that takes longer is logged as slow; nil if none is logged.
  let slow: Duration?
  /// What pages of other origins may do.
  let cors: CORSPolicy
  /// The folder of the admin panel's files; nil if they are not served.
  let panel: String?
  /// The folder of the files of chatbot and forms; nil if they are not served.
  let website: String?
  /// Whether the demo page is served.
  let hasDemo: Bool

  /// - Parameter only: the names of the handlers to serve; nil for all.
  init(_ environment: [String: String], only: [String]? = nil) throws(Problem) {
    let settings = try Settings(Self.declared, from: environment)
    if let listen = settings["LEADPIPE_LISTEN"] {
      address = .unix(path: String(listen.dropFirst("unix:".count)))
    } else {
      address = .tcp(host: settings["LEADPIPE_HOST"] ?? "127.0.0.1", port: settings.number("PORT", default: 4000))
    }
    budgets = Budgets(environment)
    handlers = HandlerSource(
      folder: settings["LEADPIPE_HANDLERS"] ?? Self.folderOfThisProgram + "/handlers",
      trustFile: settings["LEADPIPE_TRUST"],
      modes: settings["LEADPIPE_PROCESS"].flatMap { ProcessModes($0) } ?? ProcessModes(), budgets: budgets, only: only,
      sharesLimits: settings["RATE_LIMIT_STORE"] == "postgres",
      holidays: environment["HOLIDAYS"].flatMap { $0.isEmpty ? nil : $0 })
    trust = try TrustFile.entries(settings)
    stream = StreamLimits(
      processes: settings.number("LEADPIPE_STREAM_PROCESSES", default: 2),
      window: settings.number("LEADPIPE_STREAM_WINDOW", default: 64),
      queue: settings.number("LEADPIPE_STREAM_QUEUE", default: 256),
      longestWait: .milliseconds(settings.number("LEADPIPE_QUEUE_MS", default: 1000)),
      requests: settings.number("LEADPIPE_STREAM_REQUESTS", default: 100_000),
      age: .seconds(60 * settings.number("LEADPIPE_STREAM_MINUTES", default: 10)))
    let concurrency = settings.number("LEADPIPE_CONCURRENCY", default: 16)
    admission = AdmissionLimits(
      slots: concurrency, slotsPerHandler: settings.number("LEADPIPE_HANDLER_CONCURRENCY", default: concurrency),
      queuePerHandler: settings.number("LEADPIPE_QUEUE", default: 256),
      longestWait: .milliseconds(settings.number("LEADPIPE_QUEUE_MS", default: 1000)))
    scgi = settings["LEADPIPE_SCGI"].flatMap { SCGIAddress($0) }.map { address in
      switch address {
      case .tcp(let host, let port): .tcp(host: host, port: port)
      case .unix(let path): .unix(path: path)
      }
    }
    operations = settings["LEADPIPE_OPERATIONS"].flatMap { OperationsAddress($0) }.map { address in
      switch address {
      case .tcp(let host, let port): .tcp(host: host, port: port)
      case .unix(let path): .unix(path: path)
      }
    }
    let slowest = settings["LEADPIPE_SLOW_MS"] == "off" ? 0 : settings.number("LEADPIPE_SLOW_MS", default: 1000)
    slow = slowest > 0 ? .milliseconds(slowest) : nil
    clientConnections = settings.number("LEADPIPE_CLIENT_CONNECTIONS", default: 256)
    limits = Dictionary(
      uniqueKeysWithValues: RateClass.allCases.compactMap { rateClass in
        rateClass.limit(settings[rateClass.settingName]).map { (rateClass, $0) }
      })
    proxies = settings["TRUSTED_PROXIES"].flatMap { TrustedProxies($0) } ?? TrustedProxies()
    cors = CORSPolicy(settings)
    panel = settings["PANEL"] == "off" ? nil : settings["PANEL_DIR"] ?? Self.folderOfThisProgram("panel")
    website = settings["CHATBOT"] == "off" ? nil : settings["CHATBOT_DIR"] ?? Self.folderOfThisProgram("chatbot")
    hasDemo = settings["DEMO"] == "on"
  }

  /// The settings for the status page, without secrets.
  var document: JSON {
    [
      "address": .string(address.text()), "scgi": scgi.map { .string($0.text(scheme: "scgi")) } ?? .null,
      "operations": operations.map { .string($0.text()) } ?? .null,
      "handlers": .string(handlers.folder), "panel": panel.map { .string($0) } ?? .null,
      "chatbot": website.map { .string($0) } ?? .null,
      "trust": handlers.trustFile.map { .string($0) } ?? .null,
      "concurrency": JSON(admission.slots), "handlerConcurrency": JSON(admission.slotsPerHandler),
      "queue": JSON(admission.queuePerHandler), "queueMs": JSON(admission.longestWait.milliseconds),
      "streamProcesses": JSON(stream.processes), "streamWindow": JSON(stream.window),
      "streamQueue": JSON(stream.queue), "slowMs": JSON(slow?.milliseconds ?? 0),
      "clientConnections": JSON(clientConnections), "requestLine": JSON(budgets.requestLine),
      "headers": JSON(budgets.headers), "headerMs": JSON(budgets.headerMs),
      "bodyMs": JSON(budgets.bodyMs), "writeMs": JSON(budgets.writeMs), "body": JSON(budgets.body),
      "handlerMs": budgets.handlerMs.map { JSON($0) } ?? .null, "reply": JSON(budgets.reply),
      "stderr": JSON(budgets.errors), "graceMs": JSON(budgets.graceMs),
      "rateLimitStore": .string(sharesLimits ? "postgres" : "memory"),
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
      .allowedOrigins, .frontendURL, Setting("TRUSTED_PROXIES", validate: TrustedProxies.validate),
      Setting("RATE_LIMIT_STORE", validate: RateClass.validateStore), .logLevel, .logFormat,
    ] + PanelSettings.settings + ProcessModes.settings + GatewayLimits.settings
    + RateClass.allCases.map { Setting($0.settingName, validate: RateClass.validate) }

  /// The folder of the panel or of the chatbot beside this executable; nil if there is none.
  private static func folderOfThisProgram(_ name: String) -> String? {
    let path = folderOfThisProgram + "/web/" + name
    return access(path, F_OK) == 0 ? path : nil
  }

  /// The folder of this executable, regardless of the path or name that started it.
  private static var folderOfThisProgram: String {
    var buffer = [UInt8](repeating: UInt8(0), count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &buffer, buffer.count)
    let path = String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
    return path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
  }
}

import Contract
import Deliveries
import Wire

/// The health of this instance.
struct Health {
  /// The database's report, or why there is none.
  let result: Result<JSON, Problem>
  let pooler: PoolerState
  /// True for a request to the gateway, whose login must be able to store leads. The operator may use another login.
  let isPublic: Bool
  let recipients: [Recipient]
  let port: Int
  let at: Instant

  private var report: JSON? { try? result.get() }

  /// `not durable` counts as unhealthy: a database that can lose committed transactions must not store leads.
  var database: String {
    guard let report else { return "away" }
    if report["hasRoom"]?.bool == false { return "full" }
    return report["durable"]?.bool == true ? "ok" : "not durable"
  }
  /// True if leads can be stored.
  var isGood: Bool { database == "ok" && mayCapture }
  private var mayCapture: Bool { !isPublic || report?["mayCapture"]?.bool != false }

  /// What is wrong, each in a sentence for the operator; empty if the status is `ok`.
  var reasons: [String] {
    let report: JSON
    switch result {
    case .success(let document): report = document
    case .failure(let problem):
      return [pooler == .away ? "the pooler in front of the database cannot be reached" : Self.reason(problem)]
    }
    if !mayCapture {
      return [
        "the login of class intake may not store leads; `leadpipe gateway --check --database` says what is missing"
      ]
    }
    if database == "full" { return ["the database's disk is full"] }
    if !isGood { return ["the database could lose stored leads: fsync is off"] }
    var reasons: [String] = []
    if report["workerIsSilent"]?.bool == true {
      let since = report["workerLastSeen"]?.string.map { " since \($0)" } ?? ""
      reasons.append("no worker has asked for deliveries\(since)")
    }
    if report["unprocessed"]?.isNull == true {
      reasons.append(
        "the tables of events do not exist: leads are stored without notifications; run `leadpipe migrate`")
    }
    let count = report["unprocessed"]?.integer ?? 0
    if let age = report["oldestSeconds"]?.integer, age >= Self.longestWait {
      reasons.append("\(count == 1 ? "1 event is" : "\(count) events are") not finished, the oldest for \(age) s")
    }
    for login in report["changedLogins"]?.array?.compactMap(\.string) ?? [] {
      reasons.append(
        "the login \(login) has changed defaults; if you have not set them, its password is known to others: change it, "
          + "and run ALTER ROLE \(login) RESET ALL")
    }
    for channel in report["pausedChannels"]?.array?.compactMap(\.string) ?? [] {
      reasons.append("the channel \(channel) is paused; `leadpipe channel list` shows why")
    }
    return reasons
  }

  private static func reason(_ problem: Problem) -> String {
    switch problem.code {
    case .databaseUnavailable: "the database cannot be reached"
    case .databaseNotMigrated:
      "the database is not migrated, or its login lacks a role; `leadpipe migrate` and `leadpipe up` say what is missing"
    default: problem.detail
    }
  }

  /// How long an event may be unfinished, in seconds: longer than the first attempts take.
  private static let longestWait = 300

  private var status: JSON { isGood ? reasons.isEmpty ? "ok" : "degraded" : "unavailable" }

  var document: JSON {
    let states = ChannelKind.all.map { channel in
      JSON.Member(Self.member(channel), .bool(recipients.contains { $0.channel == channel.name }))
    }
    let queue = ["unprocessed", "oldestSeconds", "failed"].map { JSON.Member($0, report?[$0] ?? .null) }
    return .object(
      [
        .init("status", status), .init("reasons", .array(reasons.map(JSON.string))),
        .init("timestamp", .string(at.iso8601)),
      ] + states + [
        .init("port", JSON(port)), .init("database", .string(database)),
        .init("pooler", .string(pooler.rawValue)), .init("worker", ["lastSeen": report?["workerLastSeen"] ?? .null]),
        .init("queue", .object(queue)),
      ])
  }

  /// The name of the member for whether a channel is configured: `slackConfigured`.
  private static func member(_ channel: ChannelKind) -> String { channel.name + "Configured" }

  static let schema: JSON = [
    "type": "object", "required": .array(properties.map { .string($0.key) }), "properties": .object(properties),
  ]

  private static let properties: [JSON.Member] =
    [
      .init("status", ["enum": ["ok", "degraded", "unavailable"]]),
      .init("reasons", ["type": "array", "items": ["type": "string"]]), .init("timestamp", time),
    ]
    + ChannelKind.all.map { .init(member($0), ["type": "boolean"]) } + [
      .init("port", ["type": "integer"]), .init("database", ["enum": ["ok", "full", "not durable", "away"]]),
      .init("pooler", ["enum": .array(PoolerState.allCases.map { .string($0.rawValue) })]),
      .init(
        "worker", ["type": "object", "required": ["lastSeen"], "properties": ["lastSeen": orNull(time)]]),
      .init(
        "queue",
        [
          "type": "object", "required": ["unprocessed", "oldestSeconds", "failed"],
          "properties": ["unprocessed": count, "oldestSeconds": count, "failed": count],
        ]),
    ]

  private static let time: JSON = ["type": "string", "format": "date-time"]
  /// Null if the value is unknown or nothing is waiting.
  private static let count = orNull(["type": "integer", "minimum": 0])

  private static func orNull(_ schema: JSON) -> JSON { ["anyOf": [schema, ["type": "null"]]] }
}

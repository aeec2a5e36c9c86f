import Deliveries
import Wire

/// The state of the house. `report` is nil when the database did not answer; why has been logged.
struct Health {
  let report: JSON?
  let channels: [Channel]
  let port: Int
  let at: Instant

  /// A database that could forget what it confirmed is no place for leads.
  var database: String { report == nil ? "away" : report?["durable"]?.bool == true ? "ok" : "not durable" }
  var isGood: Bool { database == "ok" }

  var document: JSON {
    func isConfigured(_ name: String) -> JSON { .bool(channels.contains { $0.name == name }) }
    return [
      "status": isGood ? "ok" : "unavailable", "timestamp": .string(at.iso8601),
      "slackConfigured": isConfigured("slack"), "telegramConfigured": isConfigured("telegram"),
      "emailConfigured": isConfigured("email"), "port": JSON(port), "database": .string(database),
      "worker": ["lastSeen": report?["workerLastSeen"] ?? .null],
      "queue": [
        "unprocessed": report?["unprocessed"] ?? .null, "oldestSeconds": report?["oldestSeconds"] ?? .null,
        "failed": report?["failed"] ?? .null,
      ],
    ]
  }

  static let schema: JSON = [
    "type": "object",
    "required": [
      "status", "timestamp", "slackConfigured", "telegramConfigured", "emailConfigured", "port", "database", "worker",
      "queue",
    ],
    "properties": [
      "status": ["enum": ["ok", "unavailable"]], "timestamp": time, "slackConfigured": ["type": "boolean"],
      "telegramConfigured": ["type": "boolean"], "emailConfigured": ["type": "boolean"], "port": ["type": "integer"],
      "database": ["enum": ["ok", "not durable", "away"]],
      "worker": ["type": "object", "required": ["lastSeen"], "properties": ["lastSeen": orNull(time)]],
      "queue": [
        "type": "object", "required": ["unprocessed", "oldestSeconds", "failed"],
        "properties": ["unprocessed": count, "oldestSeconds": count, "failed": count],
      ],
    ],
  ]

  private static let time: JSON = ["type": "string", "format": "date-time"]
  /// Null where nobody knows, or nothing waits.
  private static let count = orNull(["type": "integer", "minimum": 0])

  private static func orNull(_ schema: JSON) -> JSON { ["anyOf": [schema, ["type": "null"]]] }
}

import Contract
import Deliveries
import Exports
import Limits
import StoreAccess
import Wire

/// What a panel needs to know about this server, so that it offers only what works: a part of the session's reply.
package struct SessionFacts: Sendable {
  package static let settings: [Setting] =
    [.timeZone, Recipient.setting(required: false)]
    + limited.map { Setting($0.settingName, validate: RateClass.validate) }

  private static let limited: [RateClass] = [.admin, .export]

  private let document: JSON

  package init(_ settings: Settings) {
    let rate = { (rateClass: RateClass) -> JSON in
      guard let limit = rateClass.limit(settings[rateClass.settingName]) else { return .null }
      return ["count": JSON(limit.count), "seconds": JSON(limit.seconds)]
    }
    let channels = Set(Recipient.configured(settings).map(\.channel))
    let pages = ConversationSearch.pageSizes
    document = [
      "timeZone": .string(settings.timeZone), "version": .string(Build.version),
      "limits": [
        "page": ["default": JSON(pages.lowerBound), "max": JSON(pages.upperBound)], "bulk": JSON(Change.idLimit),
        "requests": rate(.admin), "exports": rate(.export),
      ],
      "exports": .array(ExportFormat.allCases.map { .string($0.rawValue) }),
      "channels": .array(ChannelKind.names.filter(channels.contains).map(JSON.string)),
    ]
  }

  /// Adds the facts to a caller's document.
  package func added(to session: JSON) -> JSON {
    .object((session.members ?? []) + (document.members ?? []))
  }

  static let schema: [JSON.Member] = {
    let count: JSON = ["type": "integer", "minimum": 1]
    let rate: JSON = [
      "type": ["object", "null"], "required": ["count", "seconds"], "properties": ["count": count, "seconds": count],
      "description": "null if there is no limit",
    ]
    let words: JSON = ["type": "array", "items": ["type": "string"]]
    return [
      .init("timeZone", ["type": "string"]), .init("version", ["type": "string"]),
      .init(
        "limits",
        [
          "type": "object", "required": ["page", "bulk", "requests", "exports"],
          "properties": [
            "page": [
              "type": "object", "required": ["default", "max"], "properties": ["default": count, "max": count],
            ],
            "bulk": count, "requests": rate, "exports": rate,
          ],
        ]),
      .init("exports", words), .init("channels", words),
    ]
  }()
}

import Wire

/// The shape in which a message goes to Telegram, and which other shape follows from a refusal.
package struct TelegramShape: Sendable, Equatable {
  /// A refusal after which the same message may go through in another shape.
  package enum Remedy: Sendable, Equatable {
    /// The mark-up was not understood: the same text without any.
    case plain
    /// Telegram counts more than we do: half as long.
    case shorter
    /// The group has become a supergroup with another number.
    case moved(Int)

    /// For the operator.
    var sentence: String {
      switch self {
      case .plain: "Telegram could not read the mark-up: it went out as plain text"
      case .shorter: "Telegram found it too long: it went out cut shorter"
      case .moved(let chat):
        "The group has become a supergroup and was reached under its new number: set TELEGRAM_CHAT_ID to \(chat)"
      }
    }

    var code: String {
      switch self {
      case .plain: "cant_parse_entities"
      case .shorter: "message_too_long"
      case .moved: "migrate_to_chat_id"
      }
    }
  }

  /// Telegram's limit, in UTF-16 units of the text without its tags.
  private static let longest = 4096

  package private(set) var chat: String
  package private(set) var isPlain = false
  package private(set) var limit = longest
  /// What led here from the first shape, in order.
  package private(set) var remedies: [Remedy] = []

  package init(chat: String) { self.chat = chat }

  /// The shape to try next, in the same attempt; nil where the answer stands. The form changes once and the chat once.
  package func next(after answer: HTTPAnswer) -> TelegramShape? {
    guard let remedy = Self.remedy(for: answer), !remedies.contains(where: { $0.isMove == remedy.isMove }) else {
      return nil
    }
    var shape = self
    switch remedy {
    case .plain: shape.isPlain = true
    case .shorter: shape.limit = Self.longest / 2
    case .moved(let chat): shape.chat = String(chat)
    }
    shape.remedies.append(remedy)
    return shape
  }

  private static func remedy(for answer: HTTPAnswer) -> Remedy? {
    guard answer.curlCode == 0, let reply = try? JSON(reading: answer.body), reply["ok"]?.bool == false,
      (reply["error_code"]?.integer ?? answer.status) == 400
    else { return nil }
    if let chat = reply["parameters"]?["migrate_to_chat_id"]?.integer, chat != 0 { return .moved(chat) }
    let description = reply["description"]?.string?.lowercased() ?? ""
    if description.contains("can't parse entities") { return .plain }
    return description.contains("message is too long") ? .shorter : nil
  }
}

extension TelegramShape.Remedy {
  fileprivate var isMove: Bool { if case .moved = self { true } else { false } }
}

import Wire

/// The form in which a message is sent to Telegram, and which other form follows a refusal.
package struct TelegramShape: Sendable, Equatable {
  /// A change of form after which a refused message may be accepted.
  package enum Remedy: Sendable, Equatable {
    /// Telegram could not parse the markup: send the text without markup.
    case plain
    /// Telegram counts more characters than Leadpipe: send half the length.
    case shorter
    /// The group has become a supergroup with this number.
    case moved(Int)

    /// The note for the operator.
    var sentence: String {
      switch self {
      case .plain: "Telegram could not parse the markup: the message was sent as plain text"
      case .shorter: "Telegram rejected the message as too long: it was shortened"
      case .moved(let chat):
        "The group has become a supergroup and was reached at its new number: set TELEGRAM_CHAT_ID to \(chat)"
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
  /// The changes from the first form to this one, in order.
  package private(set) var remedies: [Remedy] = []

  package init(chat: String) { self.chat = chat }

  /// Returns the form to try next in the same attempt. Nil if the reply is final. The markup or length changes at most
  /// once, and the chat at most once.
  package func next(after answer: HTTPResult) -> TelegramShape? {
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

  private static func remedy(for answer: HTTPResult) -> Remedy? {
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

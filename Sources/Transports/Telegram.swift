import Contract
import Deliveries
import Wire

extension Provider {
  package static let telegram = Provider(
    channel: .telegram, chosenBy: "TELEGRAM_BOT_TOKEN",
    settings: [Telegram.token, Telegram.chat, .webAddress(of: .telegram, "TELEGRAM_API_URL"), .frontend, .zone],
    combinationErrors: { given in
      [
        .needing("TELEGRAM_CHAT_ID", for: "TELEGRAM_BOT_TOKEN", in: given),
        .needing("TELEGRAM_BOT_TOKEN", for: "TELEGRAM_CHAT_ID", in: given),
      ]
    },
    recipients: { given in given["TELEGRAM_CHAT_ID"].map { [$0] } ?? [] }
  ) { settings throws(Problem) in
    let telegram = try Telegram(settings)
    let transfer = try HTTPTransfer()
    return { delivery, _, deadline in telegram.send(delivery, over: transfer, by: deadline) }
  }
}

/// Telegram's sendMessage. The address contains the token, so it is never shown.
package struct Telegram: Sendable {
  /// The token from BotFather: the bot's number, a colon, the key.
  fileprivate static let token = Setting.of(.telegram, "TELEGRAM_BOT_TOKEN", required: true) { token in
    let parts = token.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    let isToken =
      parts.count == 2 && 1...20 ~= parts[0].count && 1...128 ~= parts[1].count
      && parts[0].allSatisfy { 0x30...0x39 ~= $0 }
      && parts[1].allSatisfy {
        0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || $0 == 0x5F || $0 == 0x2D
      }
    return isToken ? nil : "must be a bot token: digits, a colon, then letters, digits, - and _"
  }

  fileprivate static let chat = Setting.of(.telegram, "TELEGRAM_CHAT_ID") { chat in
    isChat(chat) ? nil : "must be a chat id or an @name"
  }

  private let address: WebAddress
  private let token: String
  /// The chat for deliveries to `default`.
  private let defaultChat: String?
  private let frontendURL: String?
  private let clock: LocalClock

  /// The settings have been checked. Throws `misconfigured`.
  init(_ settings: Settings) throws(Problem) {
    let base = settings["TELEGRAM_API_URL"] ?? "https://api.telegram.org"
    let root = base.utf8.last == UInt8(ascii: "/") ? String(base.dropLast()) : base
    guard let token = settings["TELEGRAM_BOT_TOKEN"], let address = WebAddress("\(root)/bot\(token)/sendMessage") else {
      throw Problem.misconfigured("TELEGRAM_BOT_TOKEN is missing")
    }
    self.token = token
    self.address = address
    defaultChat = settings["TELEGRAM_CHAT_ID"]
    frontendURL = settings["FRONTEND_URL"]
    clock = LocalClock(forMessages: settings)
  }

  /// Sends one delivery to its chat, once. If Telegram rejects its form, sends it once more in another form; if the
  /// group has moved, sends it once more to the group's new number. All of this happens before `deadline`.
  func send(_ delivery: Delivery, over transfer: borrowing HTTPTransfer, by deadline: Instant) -> DeliveryOutcome {
    let notification = Notification(for: delivery, frontendURL: frontendURL, clock: clock)
    guard let chat = delivery.recipient == "default" ? defaultChat : delivery.recipient, Self.isChat(chat) else {
      return DeliveryOutcome(.permanent, reason: "The recipient is not a Telegram chat", subject: notification.header)
    }
    var shape = TelegramShape(chat: chat)
    var answer = transfer.post(Self.payload(notification, shape), to: address, by: deadline)
    while let next = shape.next(after: answer) {
      shape = next
      answer = transfer.post(Self.payload(notification, shape), to: address, by: deadline)
    }
    var outcome = Self.outcome(of: answer, hiding: [token, chat, shape.chat], now: .now)
    for remedy in shape.remedies { outcome.note(remedy.sentence, code: remedy.code) }
    outcome.subject = notification.header + notification.mark
    return outcome
  }

  /// True for a chat's number or the @name of a public chat.
  package static func isChat(_ chat: String) -> Bool {
    if let number = Int(strict: chat) { return number != 0 }
    let name = chat.utf8.dropFirst()
    return chat.utf8.first == UInt8(ascii: "@") && 4...64 ~= name.count
      && name.allSatisfy { 0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || $0 == 0x5F }
  }
}

extension Telegram {
  /// Returns the message in the given shape: HTML in which only Leadpipe's own tags have an effect, or the same text
  /// without markup.
  package static func payload(_ notification: Notification, _ shape: TelegramShape) -> JSON {
    let fitted = FittedNotification(
      notification, to: shape.limit, showsAddresses: shape.isPlain, cost: { $0.utf16.count }, cut: Cut.utf16)
    let payload: JSON = [
      "chat_id": Int(strict: shape.chat).map { JSON($0) } ?? .string(shape.chat),
      "text": .string(shape.isPlain ? fitted.text : html(notification, fitted.values)), "parse_mode": "HTML",
      "link_preview_options": ["is_disabled": true],
    ]
    return shape.isPlain ? payload.removing("parse_mode") : payload
  }

  private static func html(_ notification: Notification, _ values: [String]) -> String {
    let fields = zip(notification.fields, values).map { field, value in
      "<b>\(HTML.escaped(field.label)):</b>\(field.isLong ? "\n" : " ")\(HTML.escaped(value))"
    }
    let links = notification.links.map { "<a href=\"\(HTML.escaped($0.url))\">\(HTML.escaped($0.label))</a>" }
    let lines = ["<b>\(HTML.escaped(notification.header + notification.mark))</b>", ""] + fields
    return (lines + (links.isEmpty ? [] : [""] + links)).joined(separator: "\n")
  }
}

extension Telegram {
  /// Phrases in Telegram's descriptions, in the order in which they are searched for.
  private static let phrases: [(part: String, class: DeliveryOutcome.Class)] = [
    ("chat not found", .config), ("bot was blocked", .config), ("bot was kicked", .config),
    ("bot is not a member", .config), ("user is deactivated", .config), ("group chat was deleted", .config),
    ("upgraded to a supergroup", .config), ("not enough rights", .config), ("can't parse entities", .permanent),
    ("message is too long", .permanent), ("message text is empty", .permanent),
  ]

  /// The wait in seconds if Telegram requests none.
  private static let defaultPause = 30

  package static func outcome(of answer: HTTPResult, hiding secrets: [String], now: Instant) -> DeliveryOutcome {
    if let outcome = answer.transportOutcome("Telegram") { return outcome }
    let status = answer.status
    guard let reply = try? JSON(reading: answer.body), let isOK = reply["ok"]?.bool else {
      let `class` = 200..<300 ~= status ? .unknown : HTTPResult.genericClass(status: status)
      let excerpt = Excerpt.clean(String(decoding: answer.body.prefix(4096), as: UTF8.self), hiding: secrets)
      return outcome(`class`, status, excerpt, wait: RetryAfter.seconds(answer.retryAfter, now: now))
    }
    if isOK, 200..<300 ~= status {
      let id = reply["result"]?["message_id"]?.integer
      return DeliveryOutcome(.delivered, statusCode: status, providerID: id.map { String($0) })
    }
    let code = reply["error_code"]?.integer ?? status
    let description = reply["description"]?.string ?? ""
    let parameters = reply["parameters"]
    if let chat = parameters?["migrate_to_chat_id"]?.integer {
      return DeliveryOutcome(
        .config, statusCode: status, providerCode: "migrate_to_chat_id",
        reason: "The group has become a supergroup: set TELEGRAM_CHAT_ID to \(chat)")
    }
    let known = phrases.first { description.lowercased().contains($0.part) }
    let generic = 200..<300 ~= code ? .unknown : HTTPResult.genericClass(status: code)
    let wait =
      parameters?["retry_after"]?.integer.map { min(max($0, 1), 86_400) }
      ?? RetryAfter.seconds(answer.retryAfter, now: now)
    return outcome(
      code == 429 ? .throttled : known?.class ?? generic, status, Excerpt.clean(description, hiding: secrets),
      wait: wait)
  }

  private static func outcome(
    _ class: DeliveryOutcome.Class, _ status: Int, _ excerpt: String, wait: Int?
  ) -> DeliveryOutcome {
    DeliveryOutcome(
      status == 429 ? .throttled : `class`, statusCode: status,
      retryAfterSeconds: `class` == .throttled || status == 429 ? wait ?? defaultPause : `class` == .retry ? wait : nil,
      reason: "Telegram answered \(status)" + (excerpt.isEmpty ? "" : ": \(excerpt)"))
  }
}

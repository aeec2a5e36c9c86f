import Contract
import Deliveries
import Wire

extension Provider {
  package static let slack = Provider(
    channel: .slack, chosenBy: "SLACK_WEBHOOK_URL",
    settings: [
      .webAddress(of: .slack, "SLACK_WEBHOOK_URL", required: true),
      .webAddress(of: .slack, "SLACK_WEBHOOK_NEWSLETTER_URL"), .frontend, .zone,
    ],
    combinationErrors: { [.needing("SLACK_WEBHOOK_URL", for: "SLACK_WEBHOOK_NEWSLETTER_URL", in: $0)] },
    // The webhook's address determines the recipient.
    recipients: { _ in ["default"] }
  ) { settings throws(Problem) in
    let slack = try Slack(settings)
    let transfer = try HTTPTransfer()
    return { delivery, _, deadline in slack.send(delivery, over: transfer, by: deadline) }
  }
}

/// Slack's incoming webhook. The webhook's address is the secret.
package struct Slack: Sendable {
  private let webhook: WebAddress
  private let newsletterWebhook: WebAddress?
  private let frontendURL: String?
  private let clock: LocalClock

  /// The settings have been checked. Throws `misconfigured`.
  init(_ settings: Settings) throws(Problem) {
    guard let webhook = settings["SLACK_WEBHOOK_URL"].flatMap(WebAddress.init) else {
      throw Problem.misconfigured("SLACK_WEBHOOK_URL is missing")
    }
    self.webhook = webhook
    newsletterWebhook = settings["SLACK_WEBHOOK_NEWSLETTER_URL"].flatMap(WebAddress.init)
    frontendURL = settings["FRONTEND_URL"]
    clock = LocalClock(forMessages: settings)
  }

  /// Posts one delivery, once. If Slack rejects its blocks, posts it once more as plain text, before `deadline`.
  func send(_ delivery: Delivery, over transfer: borrowing HTTPTransfer, by deadline: Instant) -> DeliveryOutcome {
    let notification = Notification(for: delivery, frontendURL: frontendURL, clock: clock)
    let address = delivery.eventType == "newsletter.subscribed" ? newsletterWebhook ?? webhook : webhook
    let answer = transfer.post(Self.payload(notification), to: address, by: deadline)
    var outcome = Self.outcome(of: answer, hiding: [address.text], now: .now)
    if Self.requiresPlainText(outcome) {
      let word = outcome.providerCode ?? ""
      let second = transfer.post(Self.textPayload(notification), to: address, by: deadline)
      outcome = Self.outcome(of: second, hiding: [address.text], now: .now)
      outcome.note("Slack rejected the blocks (\(word)): the message was sent as plain text", code: word)
    }
    outcome.subject = notification.header + notification.mark
    return outcome
  }
}

extension Slack {
  /// Returns the message: blocks, and `text` for lock screens. All text is plain_text, which disables markup, and is
  /// escaped as well. At most 12,000 characters, within every limit of Block Kit.
  package static func payload(_ notification: Notification) -> JSON {
    var blocks: [JSON] = [["type": "header", "text": plain(notification.header, limit: 150, mark: notification.mark)]]
    let short = notification.fields.filter { !$0.isLong }.map { field in
      plain("\(field.label)\n\(Escaping.isolated(Cut.slack(field.value, to: 450)))", limit: 500)
    }
    for start in stride(from: 0, to: short.count, by: 10) {
      blocks.append(["type": "section", "fields": .array(Array(short[start..<min(start + 10, short.count)]))])
    }
    for field in notification.fields where field.isLong {
      blocks.append(["type": "section", "text": plain("\(field.label)\n\(field.value)", limit: 2900)])
    }
    let buttons = notification.links.filter { $0.url.utf8.count <= 3000 }.map { link -> JSON in
      ["type": "button", "text": plain(link.label, limit: 75), "url": .string(link.url)]
    }
    if !buttons.isEmpty { blocks.append(["type": "actions", "elements": .array(buttons)]) }
    return [
      "text": .string(escaped(notification.fallback, limit: 300, mark: notification.mark)), "blocks": .array(blocks),
      "unfurl_links": false, "unfurl_media": false,
    ]
  }

  /// Returns the message with `text` only, for a webhook that rejects the blocks. Markup is disabled, and the text is
  /// escaped as well. At most 12,000 characters.
  package static func textPayload(_ notification: Notification) -> JSON {
    let fitted = FittedNotification(
      notification, to: 12_000, showsAddresses: true, cost: { Escaping.slack($0).unicodeScalars.count }, cut: Cut.slack)
    return [
      "text": .string(Escaping.slack(fitted.text)), "mrkdwn": false, "unfurl_links": false, "unfurl_media": false,
    ]
  }

  private static func plain(_ text: String, limit: Int, mark: String = "") -> JSON {
    ["type": "plain_text", "text": .string(escaped(text, limit: limit, mark: mark)), "emoji": false]
  }

  /// Truncates `text` to the limit, but never the mark after it.
  private static func escaped(_ text: String, limit: Int, mark: String) -> String {
    Escaping.slack(Cut.slack(text, to: limit - mark.unicodeScalars.count) + mark)
  }
}

extension Slack {
  /// Slack's error codes, which decide before the status does.
  private static let words: [String: DeliveryOutcome.Class] = [
    "invalid_payload": .permanent, "no_text": .permanent, "too_many_attachments": .permanent,
    "invalid_blocks": .permanent, "invalid_blocks_format": .permanent, "msg_blocks_too_long": .permanent,
    "user_not_found": .config, "action_prohibited": .config, "channel_not_found": .config,
    "channel_is_archived": .config, "invalid_token": .config, "no_active_hooks": .config, "no_service": .config,
    "no_service_id": .config, "no_team": .config, "team_disabled": .config,
    "posting_to_general_channel_denied": .config, "rollup_error": .retry, "rate_limited": .throttled,
  ]

  /// Slack's error codes for rejected blocks. Without blocks, the message may be accepted.
  private static let blockErrors: Set<String> = [
    "invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "too_many_attachments",
  ]

  package static func requiresPlainText(_ outcome: DeliveryOutcome) -> Bool {
    outcome.class == .permanent && outcome.providerCode.map(blockErrors.contains) == true
  }

  /// The wait in seconds if Slack requests none: Slack may disable a webhook that continues after a 429.
  private static let defaultPause = 30

  package static func outcome(of answer: HTTPResult, hiding secrets: [String], now: Instant) -> DeliveryOutcome {
    if let outcome = answer.transportOutcome("Slack") { return outcome }
    let text = String(decoding: answer.body.prefix(4096), as: UTF8.self)
    let bare = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    let json = try? JSON(reading: answer.body)
    let word = Excerpt.token(json?["error"]?.string ?? bare)
    let status = answer.status
    if 200..<300 ~= status {
      guard bare == "ok" else {
        return DeliveryOutcome(
          .unknown, statusCode: status, providerCode: word,
          reason: "Slack answered \(status), but not ok: \(Excerpt.clean(text, hiding: secrets))")
      }
      return DeliveryOutcome(.delivered, statusCode: status)
    }
    let `class` = status == 429 ? .throttled : word.flatMap { words[$0] } ?? HTTPResult.genericClass(status: status)
    let wait =
      RetryAfter.seconds(answer.retryAfter, now: now) ?? json?["retry_after"]?.integer.map { min(max($0, 1), 86_400) }
    let excerpt = word ?? Excerpt.clean(text, hiding: secrets)
    return DeliveryOutcome(
      `class`, statusCode: status, providerCode: word,
      retryAfterSeconds: `class` == .throttled ? wait ?? defaultPause : `class` == .retry ? wait : nil,
      reason: "Slack answered \(status)" + (excerpt.isEmpty ? "" : ": \(excerpt)"))
  }
}

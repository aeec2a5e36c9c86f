import Contract
import Deliveries
import Forms
import Wire

/// Mail over Resend's HTTP interface (docs/reference/providers.md). Every try of a delivery carries the same Idempotency-Key, which
/// Resend keeps for 24 hours: within them a repeat is no second mail. After them what may be one says so in its subject, and
/// has a key of its own, for another body under the same key is refused.
package struct Resend: Sendable {
  package static let settings: [Setting] = [.resendKey, .resendAPI, .mailFrom, .frontend]

  private static let keptSeconds = 24 * 3600

  private let address: WebAddress
  private let key: String
  private let from: Mailbox
  private let frontendURL: String?

  /// From checked settings; the problem is `misconfigured`.
  package init(_ settings: Settings) throws(Problem) {
    let base = settings["RESEND_API_URL"] ?? "https://api.resend.com"
    let root = base.utf8.last == UInt8(ascii: "/") ? String(base.dropLast()) : base
    guard let key = settings["RESEND_API_KEY"], let from = settings["EMAIL_FROM"].flatMap({ Mailbox($0) }),
      let address = WebAddress("\(root)/emails")
    else { throw Problem(.misconfigured, "RESEND_API_KEY or EMAIL_FROM is missing") }
    self.key = key
    self.from = from
    self.address = address
    frontendURL = settings["FRONTEND_URL"]
  }

  /// Hands one delivery to Resend, once.
  package func send(_ line: DeliveryLine, over transfer: borrowing HTTPTransfer, by deadline: Instant)
    -> DeliveryOutcome
  {
    let mayRepeat = line.isPossibleRepeat && Instant.now.seconds(since: line.eventAt) >= Self.keptSeconds
    let notice = Notice(for: line, frontendURL: frontendURL)
    guard let to = Mailbox(address: line.recipient, localAllowed: true) else {
      return DeliveryOutcome(.permanent, reason: "The recipient is no mail address", subject: notice.subject)
    }
    let headers = ["Authorization: Bearer \(key)", "Idempotency-Key: \(line.id.text)\(mayRepeat ? "-late" : "")"]
    var payload = Self.payload(notice, id: line.id, from: from, to: to)
    if mayRepeat { payload = payload.setting("subject", .string((payload["subject"]?.string ?? "") + notice.mark)) }
    let answer = transfer.post(payload, to: address, headers: headers, isRepeatable: true, by: deadline)
    var outcome = Self.outcome(of: answer, hiding: [key, to.address], now: .now)
    outcome.subject = notice.subject
    return outcome
  }
}

extension Resend {
  /// The same for every try of a delivery: another body under the same key would be refused.
  package static func payload(_ notice: Notice, id: UUIDText, from: Mailbox, to: Mailbox) -> JSON {
    let subject = notice.subject.unicodeScalars.filter { $0.properties.generalCategory != .control }
    let payload: JSON = [
      "from": .string(from.name.isEmpty ? from.address : "\"\(from.name)\" <\(from.address)>"),
      "to": [.string(to.address)], "subject": .string(String(String.UnicodeScalarView(subject))),
      "text": .string(MailText.text(notice)), "html": .string(MailText.html(notice)),
      "reply_to": JSON(notice.customerEmail.flatMap { Mailbox(address: $0) }?.address),
      "headers": ["Auto-Submitted": "auto-generated", "X-Entity-Ref-ID": .string(id.text)],
    ]
    return payload.withoutNulls
  }

  /// The words that say more than their status.
  private static let words: [String: DeliveryOutcome.Class] = [
    "concurrent_idempotent_requests": .retry, "invalid_idempotent_request": .permanent,
    "rate_limit_exceeded": .throttled, "daily_quota_exceeded": .throttled, "monthly_quota_exceeded": .throttled,
  ]

  /// The waits where Resend names none; a quota is not there again in half a minute.
  private static let defaultPause = 30
  private static let quotaPause = 3600

  package static func outcome(of answer: HTTPAnswer, hiding secrets: [String], now: Instant) -> DeliveryOutcome {
    if let outcome = answer.transportOutcome("Resend") { return outcome }
    let status = answer.status
    let reply = try? JSON(reading: answer.body)
    if 200..<300 ~= status {
      guard let id = reply?["id"]?.string else {
        return DeliveryOutcome(.unknown, statusCode: status, reason: "Resend answered \(status), but without an id")
      }
      let isPlain = id.utf8.count <= 64 && id.utf8.allSatisfy { 0x21...0x7E ~= $0 }
      return DeliveryOutcome(.delivered, statusCode: status, providerID: isPlain ? id : nil)
    }
    let word = reply?["name"]?.string.flatMap(Excerpt.token)
    let `class` = status == 429 ? .throttled : word.flatMap { words[$0] } ?? HTTPAnswer.genericClass(status: status)
    let wait =
      RetryAfter.seconds(answer.retryAfter, now: now) ?? RetryAfter.seconds(answer.rateLimitReset, now: now)
    let pause = word?.hasSuffix("_quota_exceeded") == true ? quotaPause : defaultPause
    let said = word ?? Excerpt.clean(String(decoding: answer.body.prefix(4096), as: UTF8.self), hiding: secrets)
    return DeliveryOutcome(
      `class`, statusCode: status, providerCode: word,
      retryAfterSeconds: `class` == .throttled ? wait ?? pause : `class` == .retry ? wait : nil,
      reason: "Resend answered \(status)" + (said.isEmpty ? "" : ": \(said)"))
  }
}

/// The way that mail goes: Resend where RESEND_API_KEY is set, else the mail server.
package enum MailRoute: Sendable {
  case server(Mail)
  case resend(Resend)

  /// All that either may need.
  package static let settings: [Setting] = Mail.settings + [.resendKey, .resendAPI]

  /// Those of the way that is taken.
  package static func needed(_ given: Settings) -> [Setting] {
    given["RESEND_API_KEY"] == nil ? Mail.settings : Resend.settings
  }

  package init(_ settings: Settings) throws(Problem) {
    self = settings["RESEND_API_KEY"] == nil ? .server(try Mail(settings)) : .resend(try Resend(settings))
  }
}

import Contract
import Deliveries
import Wire

extension Provider {
  package static let resend = Provider(
    channel: .email, chosenBy: "RESEND_API_KEY",
    settings: [Resend.key, .webAddress(of: .email, "RESEND_API_URL"), EmailSettings.from, .frontend, .zone]
      + AgencySettings.declared,
    combinationErrors: { given in
      [
        .needing("RESEND_API_KEY", for: "RESEND_API_URL", in: given),
        .needing("EMAIL_FROM", for: "RESEND_API_KEY", in: given),
        Setting("RESEND_API_KEY") { _ in
          if given["EMAIL_HOST"] != nil { return "must not be combined with EMAIL_HOST: unset one of them" }
          // Without this error, a key that configures no channel would be ignored.
          let hasRecipient = !EmailSettings.recipients(given).isEmpty || given["LEADPIPE_CHANNELS"] != nil
          return hasRecipient ? nil : "configures no channel: set EMAIL_TO"
        },
      ]
    },
    recipients: EmailSettings.recipients
  ) { settings throws(Problem) in
    let resend = try Resend(settings)
    let transfer = try HTTPTransfer()
    return { delivery, _, deadline in resend.send(delivery, over: transfer, by: deadline) }
  }
}

/// Email over Resend's HTTP interface. Every attempt of a delivery has the same Idempotency-Key, which Resend keeps for
/// 24 hours: within that time a repeat sends no second email. After that, a possible repeat is marked in its subject
/// and has a different key, because Resend refuses a different body under the same key.
package struct Resend: Sendable {
  /// Visible ASCII, because it is sent in a header.
  fileprivate static let key = Setting.of(.email, "RESEND_API_KEY", required: true) { key in
    1...200 ~= key.utf8.count && key.utf8.allSatisfy { 0x21...0x7E ~= $0 } ? nil : "must be a Resend API key: re_…"
  }

  private static let keptSeconds = 24 * 3600

  private let address: WebAddress
  private let key: String
  private let from: Mailbox
  private let frontendURL: String?
  private let clock: LocalClock
  private let agency: Agency

  /// The settings have been checked. Throws `misconfigured`.
  init(_ settings: Settings) throws(Problem) {
    let base = settings["RESEND_API_URL"] ?? "https://api.resend.com"
    let root = base.utf8.last == UInt8(ascii: "/") ? String(base.dropLast()) : base
    guard let key = settings["RESEND_API_KEY"], let from = settings["EMAIL_FROM"].flatMap({ Mailbox($0) }),
      let address = WebAddress("\(root)/emails")
    else { throw Problem.misconfigured("RESEND_API_KEY or EMAIL_FROM is missing") }
    self.key = key
    self.from = from
    self.address = address
    frontendURL = settings["FRONTEND_URL"]
    clock = LocalClock(forMessages: settings)
    agency = AgencySettings.agency(settings)
  }

  /// Sends one delivery to Resend, once.
  func send(_ delivery: Delivery, over transfer: borrowing HTTPTransfer, by deadline: Instant) -> DeliveryOutcome {
    let mayRepeat = delivery.isPossibleRepeat && Instant.now.seconds(since: delivery.eventAt) >= Self.keptSeconds
    guard let content = MailContent(for: delivery, agency: agency, frontendURL: frontendURL, clock: clock) else {
      return DeliveryOutcome(.permanent, reason: "The receipt has no lead")
    }
    guard let to = Mailbox(address: delivery.recipient, localAllowed: true) else {
      return DeliveryOutcome(.permanent, reason: "The recipient is not an email address", subject: content.subject)
    }
    let headers = ["Authorization: Bearer \(key)", "Idempotency-Key: \(delivery.id.text)\(mayRepeat ? "-late" : "")"]
    var payload = Self.payload(content, id: delivery.id, from: from, to: to)
    if mayRepeat {
      payload = payload.setting("subject", .string((payload["subject"]?.string ?? "") + content.mark))
    }
    let answer = transfer.post(payload, to: address, headers: headers, isRepeatable: true, by: deadline)
    var outcome = Self.outcome(
      of: answer, hiding: [key, to.address], now: .now, isReceipt: delivery.isReceipt)
    outcome.subject = content.subject
    return outcome
  }
}

extension Resend {
  /// Returns the request body. It is the same for every attempt, because Resend refuses a different body under the same
  /// key.
  package static func payload(_ content: MailContent, id: UUIDText, from: Mailbox, to: Mailbox) -> JSON {
    let subject = content.subject.unicodeScalars.filter { $0.properties.generalCategory != .control }
    let payload: JSON = [
      "from": .string(from.name.isEmpty ? from.address : "\"\(from.name)\" <\(from.address)>"),
      "to": [.string(to.address)], "subject": .string(String(String.UnicodeScalarView(subject))),
      "text": .string(content.text), "html": .string(content.html), "reply_to": JSON(content.replyTo?.address),
      "headers": .object(headers(content, id)),
    ]
    return payload.withoutNulls
  }

  private static func headers(_ content: MailContent, _ id: UUIDText) -> [JSON.Member] {
    let more = content.headers.compactMap { line -> JSON.Member? in
      guard let colon = line.firstIndex(of: ":") else { return nil }
      return JSON.Member(String(line[..<colon]), .string(String(line[line.index(after: colon)...].drop { $0 == " " })))
    }
    return [JSON.Member("Auto-Submitted", "auto-generated"), JSON.Member("X-Entity-Ref-ID", .string(id.text))] + more
  }

  /// The error names that decide before the status does.
  private static let words: [String: DeliveryOutcome.Class] = [
    "concurrent_idempotent_requests": .retry, "invalid_idempotent_request": .permanent,
    "rate_limit_exceeded": .throttled, "daily_quota_exceeded": .throttled, "monthly_quota_exceeded": .throttled,
  ]

  /// The waits in seconds if Resend requests none. A quota takes longer to reset than a rate limit.
  private static let defaultPause = 30
  private static let quotaPause = 3600

  /// - Parameter isReceipt: whether it went to a visitor: an account that may only send to its own address, for
  ///   instance before its domain is verified, refuses that without a fault that concerns the team's email.
  package static func outcome(
    of answer: HTTPResult, hiding secrets: [String], now: Instant, isReceipt: Bool = false
  ) -> DeliveryOutcome {
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
    var `class` = status == 429 ? .throttled : word.flatMap { words[$0] } ?? HTTPResult.genericClass(status: status)
    if isReceipt, status == 403, word != "invalid_api_key" { `class` = .permanent }
    let wait =
      RetryAfter.seconds(answer.retryAfter, now: now) ?? RetryAfter.seconds(answer.rateLimitReset, now: now)
    let pause = word?.hasSuffix("_quota_exceeded") == true ? quotaPause : defaultPause
    let excerpt = word ?? Excerpt.clean(String(decoding: answer.body.prefix(4096), as: UTF8.self), hiding: secrets)
    return DeliveryOutcome(
      `class`, statusCode: status, providerCode: word,
      retryAfterSeconds: `class` == .throttled ? wait ?? pause : `class` == .retry ? wait : nil,
      reason: "Resend answered \(status)" + (excerpt.isEmpty ? "" : ": \(excerpt)"))
  }
}

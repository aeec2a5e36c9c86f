import Contract
import Curl
import Deliveries
import Wire

extension Provider {
  package static let smtp = Provider(
    channel: .email, chosenBy: "EMAIL_HOST",
    settings: [
      .of(.email, "EMAIL_HOST", required: true) { WebAddress.isHost($0) ? nil : "must be a host name or an address" },
      .number("EMAIL_PORT", 1...65_535), .of(.email, "EMAIL_USER", validate: SMTP.validateControls),
      .of(.email, "EMAIL_PASS", validate: SMTP.validateControls), EmailSettings.from, .frontend, .zone,
    ] + AgencySettings.declared,
    otherSettings: [EmailSettings.to],
    combinationErrors: { given in
      [
        .needing("EMAIL_PASS", for: "EMAIL_USER", in: given), .needing("EMAIL_USER", for: "EMAIL_PASS", in: given),
        given["RESEND_API_KEY"] == nil ? .needing("EMAIL_HOST", for: "EMAIL_TO", in: given) : Setting("EMAIL_TO"),
        given["EMAIL_FROM"] == nil
          ? .needing("EMAIL_FROM", for: "EMAIL_HOST", in: given)
          : Setting("EMAIL_HOST") { _ in
            EmailSettings.recipients(given).isEmpty
              ? "has no recipient: set EMAIL_TO, or give an address in EMAIL_FROM" : nil
          },
      ]
    },
    recipients: EmailSettings.recipients
  ) { settings throws(Problem) in
    let mail = try SMTP(settings)
    let transfer = try SMTPTransfer()
    return { delivery, request, deadline in
      mail.send(delivery, date: request.receivedAt, over: transfer, by: deadline)
    }
  }
}

/// Email over SMTP.
package struct SMTP: Sendable {
  @Sendable fileprivate static func validateControls(_ text: String) -> String? {
    text.utf8.contains { $0 < 0x20 || $0 == 0x7F } ? "must not contain control characters" : nil
  }

  private let server: MailServer
  private let from: Mailbox
  private let frontendURL: String?
  private let clock: LocalClock
  private let agency: Agency

  /// The settings have been checked. Throws `misconfigured`.
  init(_ settings: Settings) throws(Problem) {
    guard let host = settings["EMAIL_HOST"], let from = settings["EMAIL_FROM"].flatMap({ Mailbox($0) }) else {
      throw Problem.misconfigured("EMAIL_HOST or EMAIL_FROM is missing")
    }
    var login: MailServer.Login?
    if let user = settings["EMAIL_USER"], let password = settings["EMAIL_PASS"] {
      login = MailServer.Login(user: user, password: password)
    }
    server = MailServer(host: host, port: settings.number("EMAIL_PORT", default: 587), login: login)
    self.from = from
    frontendURL = settings["FRONTEND_URL"]
    clock = LocalClock(forMessages: settings)
    agency = AgencySettings.agency(settings)
  }

  /// Sends one delivery to the mail server, once. `date` is the time of the request.
  func send(
    _ delivery: Delivery, date: Instant, over transfer: borrowing SMTPTransfer, by deadline: Instant
  ) -> DeliveryOutcome {
    guard let content = MailContent(for: delivery, agency: agency, frontendURL: frontendURL, clock: clock) else {
      return DeliveryOutcome(.permanent, reason: "The receipt has no lead")
    }
    guard let to = Mailbox(address: delivery.recipient, localAllowed: true) else {
      return DeliveryOutcome(.permanent, reason: "The recipient is not an email address", subject: content.subject)
    }
    let message = MailMessage(deliveryID: delivery.id, date: date, from: from, to: to, content: content)
    let answer = transfer.send(
      message.bytes, from: from.address, to: to.address, hello: from.domain, server: server, by: deadline)
    var outcome = Self.outcome(
      of: answer, hiding: [server.login?.password ?? "", server.login?.user ?? ""], isReceipt: delivery.isReceipt)
    outcome.subject = content.subject
    return outcome
  }
}

extension SMTP {
  /// Codes that a person has to fix: login and missing encryption (RFC 4954 §6).
  private static let configCodes: Set<Int> = [530, 534, 535, 538]
  /// Enhanced codes (RFC 3463) of 550 and 554 that are about policy or the sender, not about this message.
  private static let configPrefixes = ["5.7.", "5.1.7", "5.1.8"]

  /// - Parameter isReceipt: true if a refusal of 550 or 554 is about the address of a visitor, whatever its enhanced
  ///   code, and not about the channel.
  package static func outcome(
    of answer: SMTPResult, hiding secrets: [String], isReceipt: Bool = false
  ) -> DeliveryOutcome {
    let status = answer.status
    let reply = SMTPReply(answer.lines, status: status, curlCode: answer.curlCode)
    var outcome = DeliveryOutcome(.retry, statusCode: status > 0 ? status : nil, providerCode: reply.enhanced)
    let excerpt = Excerpt.clean(reply.text, hiding: secrets)
    outcome.reason = "The mail server answered \(status)" + (excerpt.isEmpty ? "" : ": \(excerpt)")
    switch status {
    case 200..<300 where answer.curlCode == 0:
      outcome.class = .delivered
      outcome.providerID = reply.queueID
      outcome.reason = nil
    case 400..<500: outcome.class = .retry
    case _ where configCodes.contains(status): outcome.class = .config
    // A refusal of the greeting, or of the name in EHLO and HELO (libcurl's code 9), concerns every message.
    case 500..<600 where reply.isGreeting || answer.curlCode == 9: outcome.class = .config
    case 550, 554:
      let isPolicy = configPrefixes.contains { reply.enhanced?.hasPrefix($0) == true }
      outcome.class = isPolicy && !isReceipt ? .config : .permanent
    case 500..<600: outcome.class = .permanent
    default: return interrupted(answer)
    }
    return outcome
  }

  /// Returns the outcome of a transfer that ended without the server's verdict.
  private static func interrupted(_ answer: SMTPResult) -> DeliveryOutcome {
    let code = "curl \(answer.curlCode)"
    let message = "\(CurlError.message(for: answer.curlCode)) (\(code))"
    let status = answer.status > 0 ? answer.status : nil
    // After 354 the message was sent, at least in part. No reply, or one that is no verdict, such as 150 or 999, tells
    // nothing about it.
    if answer.status == 354 || answer.lines.contains(where: { $0.hasPrefix("354") }) {
      return DeliveryOutcome(
        .unknown, statusCode: status, providerCode: code,
        reason: "The mail server gave no clear reply after the message was sent: \(message)")
    }
    // 67: the server offers no login method that libcurl supports.
    let isConfig = answer.curlCode == 67 || CurlClass.isConfig(answer.curlCode)
    return DeliveryOutcome(
      isConfig ? .config : .retry, statusCode: status, providerCode: code,
      reason: "The message was not sent: \(message)")
  }
}

/// The contents of the server's last reply, apart from its code.
struct SMTPReply {
  /// `5.1.1` (RFC 3463).
  private(set) var enhanced: String?
  /// From `250 2.0.0 Ok: queued as 4F1A2B3C`.
  private(set) var queueID: String?
  /// The text of all lines of the reply, without the enhanced code.
  private(set) var text = ""
  /// True if the connection began with this refusal. libcurl's code is also needed to decide: on a kept connection, the
  /// first line is the reply to MAIL FROM.
  let isGreeting: Bool

  /// Reads the last reply with `status`, which can have several lines (RFC 5321 §4.2.1); the 221 in reply to QUIT may
  /// follow it.
  init(_ lines: [String], status: Int, curlCode: Int) {
    isGreeting = curlCode == 8 && lines.first?.hasPrefix("\(status)") == true
    guard let end = lines.lastIndex(where: { $0.hasPrefix("\(status) ") || $0 == "\(status)" }) else { return }
    let start = lines[..<end].lastIndex { !$0.hasPrefix("\(status)-") }.map { $0 + 1 } ?? 0
    var words: [String] = []
    // Each line repeats the enhanced code (RFC 2034 §4).
    for line in lines[start...end] {
      var own = line.dropFirst(4).split(separator: " ").map(String.init)
      if let first = own.first, Self.isEnhanced(first) {
        enhanced = enhanced ?? first
        own.removeFirst()
      }
      words += own
    }
    text = words.joined(separator: " ")
    if let at = words.firstIndex(of: "as"), at > 0, words[at - 1] == "queued", words.count > at + 1 {
      let id = words[at + 1]
      if id.utf8.count <= 64, id.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) { queueID = id }
    }
  }

  private static func isEnhanced(_ word: String) -> Bool {
    let parts = word.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 3 && ["2", "4", "5"].contains(parts[0])
      && parts.allSatisfy { Int(strict: $0).map { 0...999 ~= $0 } == true }
  }
}

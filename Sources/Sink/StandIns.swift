import Wire

/// An HTTP reply of the sink.
struct SinkReply: Sendable, Equatable {
  var status: Int
  var contentType: String
  var body: [UInt8]
  /// Seconds.
  var retryAfter: Int?

  init(_ status: Int, _ contentType: String, _ body: [UInt8]) {
    self.status = status
    self.contentType = contentType
    self.body = body
  }
}

/// A stand-in's decision on a request: the provider's reply, and the message if one was accepted.
struct Verdict: Sendable, Equatable {
  var reply: SinkReply
  var message: SinkMessage?
}

/// Slack's incoming webhook, as far as its behaviour is known from outside.
struct SlackStandIn: Sendable {
  /// Returns Slack's reply to `body`.
  func reply(to body: [UInt8], path: String, at time: Instant) -> Verdict {
    guard let payload = try? JSON(reading: body), payload.members != nil else { return say(400, "invalid_payload") }
    guard let text = payload["text"]?.string ?? payload["blocks"]?.array.map({ _ in "" }) else {
      return say(400, "no_text")
    }
    if let word = payload["blocks"]?.array.flatMap(BlockRules.fault) { return say(400, word) }
    let message = SinkMessage(
      time: time, provider: .slack, recipient: path, subject: text.isEmpty ? nil : text, body: payload, id: nil)
    return say(200, "ok", message)
  }

  private func say(_ status: Int, _ word: String, _ message: SinkMessage? = nil) -> Verdict {
    Verdict(reply: SinkReply(status, "text/plain; charset=utf-8", Array(word.utf8)), message: message)
  }
}

/// Telegram's sendMessage.
struct TelegramStandIn: Sendable {
  private var lastID = 0

  /// Returns Telegram's reply to `body`.
  mutating func reply(to body: [UInt8], at time: Instant) -> Verdict {
    guard let payload = try? JSON(reading: body), payload.members != nil else {
      return fault("Bad Request: can't parse the request")
    }
    let number = payload["chat_id"]?.integer
    guard let chat = number.map({ String($0) }) ?? payload["chat_id"]?.string, !chat.isEmpty else {
      return fault("Bad Request: chat_id is empty")
    }
    let text = payload["text"]?.string ?? ""
    let isHTML = payload["parse_mode"]?.string == "HTML"
    if isHTML, let fault = TelegramMarkUp.fault(text) {
      return self.fault("Bad Request: can't parse entities: \(fault)")
    }
    let shown = isHTML ? MarkUp.plain(text) : text
    guard shown.contains(where: { !$0.isWhitespace }) else { return fault("Bad Request: message text is empty") }
    guard shown.utf16.count <= 4096 else { return fault("Bad Request: message is too long") }
    lastID += 1
    let result: JSON = [
      "ok": true,
      "result": [
        "message_id": JSON(lastID), "date": JSON(time.milliseconds / 1000),
        "chat": ["id": number.map { JSON($0) } ?? .string(chat)], "text": .string(shown),
      ],
    ]
    let message = SinkMessage(
      time: time, provider: .telegram, recipient: chat, subject: nil, body: payload, id: String(lastID))
    return Verdict(reply: SinkReply(200, "application/json", result.bytes), message: message)
  }

  private func fault(_ description: String) -> Verdict {
    let body: JSON = ["ok": false, "error_code": 400, "description": .string(description)]
    return Verdict(reply: SinkReply(400, "application/json", body.bytes), message: nil)
  }
}

/// A mail server that accepts everything.
struct MailStandIn: Sendable {
  private var count = 0

  /// Returns the server's reply at the end of `mail`, and the message to store.
  mutating func reply(to mail: ReceivedMail, at time: Instant) -> (line: String, message: SinkMessage?) {
    count += 1
    let reader = MailReader(mail.content)
    let message = SinkMessage(
      time: time, provider: .email, recipient: mail.recipients.joined(separator: ", "), subject: reader.subject,
      body: .string(reader.text), id: reader.header("message-id"))
    return ("250 2.0.0 Ok: queued as SINK\(count)\r\n", message)
  }
}

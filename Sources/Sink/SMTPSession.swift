import Wire

/// An email as the sink received it.
struct ReceivedMail: Sendable, Equatable {
  let from: String
  let recipients: [String]
  /// Dots unstuffed, lines ended by CR LF.
  let content: [UInt8]
}

/// The server's side of one SMTP connection (RFC 5321, 4954). It takes bytes and returns actions. It is pure except for
/// the fault book.
struct SMTPSession: Sendable {
  enum Action: Sendable, Equatable {
    case send(String)
    /// Store the email, then send the sink's reply.
    case deliver(ReceivedMail)
    /// Store the email and send no reply, because of a fault of this kind.
    case keep(ReceivedMail, String)
    /// A fault of this kind has occurred.
    case failed(String)
    case wait(milliseconds: Int)
    case close
    /// Reset the connection, so that the client's next read fails.
    case reset
  }

  static let greeting = "220 localhost ESMTP leadpipe sink\r\n"
  static let sizeLimit = 1_048_576
  /// Bytes of a line with its end. RFC 5321 requires 512 for commands and 1,000 for text.
  static let lineLimit = 2_048
  static let recipientLimit = 100

  private enum State { case command, data, userName, password, plain }

  private var state = State.command
  private var line: [UInt8] = []
  var sender: String?
  var recipients: [String] = []
  private var content: [UInt8] = []
  private var tooBig: String?
  var isClosed = false

  let book: FaultBook
  /// The fault of the current email. It is drawn at the greeting for the connection's first email, and at MAIL for each
  /// other.
  var fault: SinkFault?
  var isDrawn = false
  /// True after the reply to STARTTLS: the client then begins a TLS handshake, to which the sink does not reply with
  /// TLS.
  var isShakingHands = false

  init(_ book: FaultBook = FaultBook(FaultPlan())) { self.book = book }

  /// Returns the actions for a new connection.
  mutating func greet() -> [Action] {
    draw()
    let failure = fail(at: .greeting)
    return failure.actions + (failure.stops ? [] : [.send(Self.greeting)])
  }

  /// Processes received bytes, however they are split.
  mutating func receive(_ bytes: some Sequence<UInt8>) -> [Action] {
    var actions: [Action] = []
    for byte in bytes where !isClosed {
      if isShakingHands {
        isClosed = true
        return actions + [.send("500 5.5.2 Command unknown\r\n"), .close]
      }
      line.append(byte)
      // Only CR LF ends a line: accepting a bare line feed would allow SMTP smuggling.
      let isEnd = byte == 0x0A && line.count >= 2 && line[line.count - 2] == 0x0D
      if isEnd {
        let text = Array(line.dropLast(2))
        line.removeAll(keepingCapacity: true)
        actions += state == .data ? data(text) : command(text)
      } else if line.count >= Self.lineLimit {
        isClosed = true
        actions += [.send("500 5.5.2 Line too long\r\n"), .close]
      }
    }
    return actions
  }

  private mutating func data(_ text: [UInt8]) -> [Action] {
    if text == [0x2E] {
      state = .command
      defer { reset() }
      if let tooBig { return [.send(tooBig)] }
      let mail = ReceivedMail(from: sender ?? "", recipients: recipients, content: content)
      let failure = fail(at: .body, of: mail)
      isDrawn = false
      return failure.actions + (failure.stops ? [] : [.deliver(mail)])
    }
    if content.count + text.count + 2 > Self.sizeLimit {
      tooBig = "552 5.3.4 Message too big\r\n"
      content.removeAll()
    }
    if tooBig == nil { content += (text.first == 0x2E ? text.dropFirst() : text[...]) + [0x0D, 0x0A] }
    return []
  }

  private mutating func command(_ bytes: [UInt8]) -> [Action] {
    let text = String(decoding: bytes, as: UTF8.self)
    switch state {
    case .userName:
      state = .password
      return [.send("334 UGFzc3dvcmQ6\r\n")]
    case .password, .plain:
      state = .command
      return [.send(text == "*" ? "501 5.7.0 Cancelled\r\n" : "235 2.7.0 Accepted\r\n")]
    case .command, .data: break
    }
    let verb = text.prefix { $0 != " " }.uppercased()
    let rest = String(text.dropFirst(verb.count).drop { $0 == " " })
    if verb == "MAIL", !isDrawn { draw() }
    let failure = Self.stages[verb].map { fail(at: $0, rest) } ?? (actions: [], stops: false)
    return failure.actions + (failure.stops ? [] : execute(verb, rest))
  }

  private mutating func execute(_ verb: String, _ rest: String) -> [Action] {
    switch verb {
    case "EHLO":
      reset()
      let tls = fault?.way == .tls ? "250-STARTTLS\r\n" : ""
      return [.send("250-localhost\r\n250-SIZE \(Self.sizeLimit)\r\n\(tls)250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n")]
    case "STARTTLS": return startTLS()
    case "HELO":
      reset()
      return [.send("250 localhost\r\n")]
    case "AUTH": return [.send(authenticate(rest))]
    case "MAIL": return [.send(mail(rest))]
    case "RCPT": return [.send(recipient(rest))]
    case "DATA":
      guard !recipients.isEmpty else { return [.send("503 5.5.1 Recipients first\r\n")] }
      state = .data
      return [.send("354 End data with <CR><LF>.<CR><LF>\r\n")]
    case "RSET":
      reset()
      return [.send("250 2.0.0 Ok\r\n")]
    case "NOOP": return [.send("250 2.0.0 Ok\r\n")]
    case "QUIT":
      isClosed = true
      return [.send("221 2.0.0 Bye\r\n"), .close]
    default: return [.send("500 5.5.2 Command unknown\r\n")]
    }
  }

  private mutating func authenticate(_ rest: String) -> String {
    let words = rest.split(separator: " ")
    switch words.first?.uppercased() {
    case "PLAIN" where words.count == 2: return "235 2.7.0 Accepted\r\n"
    case "PLAIN":
      state = .plain
      return "334 \r\n"
    case "LOGIN":
      state = words.count == 2 ? .password : .userName
      return words.count == 2 ? "334 UGFzc3dvcmQ6\r\n" : "334 VXNlcm5hbWU6\r\n"
    default: return "504 5.5.4 Mechanism unknown\r\n"
    }
  }

  private mutating func mail(_ rest: String) -> String {
    guard sender == nil else { return "503 5.5.1 One sender only\r\n" }
    guard let path = Self.path(rest, after: "FROM:") else { return "501 5.5.4 Syntax: MAIL FROM:<address>\r\n" }
    sender = path
    return "250 2.1.0 Ok\r\n"
  }

  private mutating func recipient(_ rest: String) -> String {
    guard sender != nil else { return "503 5.5.1 MAIL first\r\n" }
    guard let path = Self.path(rest, after: "TO:"), !path.isEmpty else {
      return "501 5.5.4 Syntax: RCPT TO:<address>\r\n"
    }
    guard recipients.count < Self.recipientLimit else { return "452 4.5.3 Too many recipients\r\n" }
    recipients.append(path)
    return "250 2.1.5 Ok\r\n"
  }

  /// Returns the address between `<` and `>`. Parameters after it are ignored.
  private static func path(_ text: String, after keyword: String) -> String? {
    guard text.prefix(keyword.count).uppercased() == keyword else { return nil }
    let rest = text.dropFirst(keyword.count).drop { $0 == " " }
    guard rest.first == "<", let end = rest.firstIndex(of: ">") else { return nil }
    let path = rest[rest.index(after: rest.startIndex)..<end]
    return path.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7F } ? String(path) : nil
  }

  private mutating func reset() {
    sender = nil
    recipients = []
    content = []
    tooBig = nil
  }
}

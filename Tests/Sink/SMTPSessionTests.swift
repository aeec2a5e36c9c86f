import Testing

@testable import Sink

@Suite("The sink's SMTP session")
struct SMTPSessionTests {
  /// Returns a short name for each action: the code of a reply, or the kind of the action.
  static func text(_ actions: [SMTPSession.Action]) -> [String] {
    actions.map { action in
      switch action {
      case .send(let text): String(text.prefix(3))
      case .deliver(let mail): "mail \(mail.recipients.count)"
      case .keep: "keep"
      case .failed: "failed"
      case .wait: "wait"
      case .close: "close"
      case .reset: "reset"
      }
    }
  }

  static let dialogue =
    "EHLO x\r\nMAIL FROM:<a@b> SIZE=10\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: s\r\n\r\n..dot\r\nbare\nfeed\r\n.\r\nQUIT\r\n"

  @Test("accepts a whole dialogue in chunks of any size", arguments: [1, 2, 7, 1000])
  func whole(piece: Int) {
    var session = SMTPSession()
    var actions: [SMTPSession.Action] = []
    let bytes = Array(Self.dialogue.utf8)
    for start in stride(from: 0, to: bytes.count, by: piece) {
      actions += session.receive(bytes[start..<min(start + piece, bytes.count)])
    }
    #expect(Self.text(actions) == ["250", "250", "250", "354", "mail 1", "221", "close"])
    guard case .deliver(let mail) = actions[4] else { return }
    #expect(mail.from == "a@b" && mail.recipients == ["c@d"])
    #expect(String(decoding: mail.content, as: UTF8.self) == "Subject: s\r\n\r\n.dot\r\nbare\nfeed\r\n")
    #expect(session.isClosed)
  }

  @Test(
    "rejects commands that are unknown, malformed or out of order, and accepts the others",
    arguments: [
      ("RCPT TO:<a@b>", "503"), ("DATA", "503"), ("MAIL FROM:a@b", "501"), ("VRFY x", "500"), ("", "500"),
      ("NOOP", "250"),
      ("RSET", "250"), ("HELO x", "250"), ("AUTH CRAM-MD5", "504"), ("AUTH PLAIN AGEAYg==", "235"),
      ("mail from:<>", "250"),
    ])
  func refusals(command: String, reply: String) {
    var session = SMTPSession()
    #expect(Self.text(session.receive(Array("\(command)\r\n".utf8))) == [reply])
  }

  @Test("accepts AUTH in several steps")
  func authentication() {
    var session = SMTPSession()
    let actions = session.receive(
      Array("AUTH LOGIN\r\ndQ==\r\ncA==\r\nAUTH PLAIN\r\nAHUAcA==\r\nAUTH PLAIN\r\n*\r\n".utf8))
    #expect(Self.text(actions) == ["334", "334", "235", "334", "235", "334", "501"])
  }

  @Test("rejects a line and an email that are over their limits")
  func limits() {
    var session = SMTPSession()
    #expect(Self.text(session.receive(Array(repeating: 0x41, count: 5000))) == ["500", "close"])
    session = SMTPSession()
    _ = session.receive(Array("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n".utf8))
    let line = Array((String(repeating: "x", count: 998) + "\r\n").utf8)
    for _ in 0..<1100 { #expect(session.receive(line).isEmpty) }
    #expect(Self.text(session.receive(Array(".\r\nNOOP\r\n".utf8))) == ["552", "250"])
  }

  @Test("accepts a second email on the same connection")
  func second() {
    var session = SMTPSession()
    let mail = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n"
    let actions = session.receive(Array((mail + mail).utf8))
    #expect(Self.text(actions) == ["250", "250", "354", "mail 1", "250", "250", "354", "mail 1"])
  }
}

import Foundation
import Testing
import Wire

@Suite("notify-email against a real mail server", .timeLimit(.minutes(1)))
struct MailTests {
  static func send(
    _ mode: JSON, payload: JSON = Sample.chatbot, login: String? = nil, host: String = "127.0.0.1"
  ) async throws -> (outcome: JSON?, mails: [JSON]) {
    let stub = try await Stub(Script.smtp, mode)
    var environment = [
      "EMAIL_HOST": host, "EMAIL_PORT": "\(stub.port)", "EMAIL_FROM": "Leads Zoë <leads@agency.example>",
      "FRONTEND_URL": "https://app.example",
    ]
    if let login {
      environment["EMAIL_USER"] = "desk-user"
      environment["EMAIL_PASS"] = login
    }
    let input = Sample.line("email", "desk@agency.example", payload: payload).text
    let run = try await Run("notify-email", input: input, environment: environment)
    #expect(!run.log.contains("@") && !run.log.contains("Zoë"))
    return (try run.lines.first?["outcome"], try stub.received)
  }

  @Test("an email arrives complete: one recipient, our headers, the name in three scripts")
  func whole() async throws {
    let (outcome, mails) = try await Self.send([:])
    #expect(outcome?["class"] == "delivered")
    #expect(outcome?["providerId"] == "4F1A2B3C")
    #expect(outcome?["subject"]?.string == "🤖 New Chatbot Lead: \(Sample.name)")
    let mail = try #require(mails.first)
    #expect(mails.count == 1)
    #expect(mail["recipients"] == ["desk@agency.example"] && mail["from"] == "leads@agency.example")
    #expect(mail["hello"] == "agency.example")
    #expect(mail["names"]?.array?.compactMap(\.string) == MailMessageTests.names)
    #expect(mail["headers"]?["subject"]?.string == "🤖 New Chatbot Lead: \(Sample.name)")
    #expect(mail["headers"]?["from"]?.string == "Leads Zoë <leads@agency.example>")
    #expect(mail["headers"]?["reply-to"] == "sara@example.com")
    #expect(mail["headers"]?["message-id"]?.string == "<\(Sample.deliveryID)@agency.example>")
    #expect(mail["text"]?.string?.contains("Lead Score: 85/100 (hot)") == true)
    #expect(mail["html"]?.string?.contains("<bdi>\(Sample.name)</bdi>") == true)
    #expect(mail["longest"]?.integer.map { $0 <= 76 } == true)
    #expect(mail["defects"] == [])
  }

  @Test("text from a customer never changes the envelope or the headers")
  func injection() async throws {
    for text in Sample.hostile.filter({ !$0.unicodeScalars.contains("\u{0}") }).prefix(9) {
      let payload = Sample.chatbot.setting("customerName", .string(text)).setting("customerEmail", .string(text))
      let (outcome, mails) = try await Self.send([:], payload: payload)
      #expect(outcome?["class"] == "delivered")
      #expect(mails.count == 1)
      #expect(mails.first?["recipients"] == ["desk@agency.example"])
      #expect(mails.first?["names"]?.array?.compactMap(\.string) == MailMessageTests.names.filter { $0 != "Reply-To" })
      let html = mails.first?["html"]?.string ?? ""
      #expect(!html.contains("<img") && !html.contains("<!channel"))
    }
  }

  @Test(
    "the server's replies become outcomes",
    arguments: [
      (["rcpt": "550 5.1.1 no such user"], "permanent", "5.1.1"), (["rcpt": "450 4.2.0 greylisted"], "retry", "4.2.0"),
      (["data": "554 5.7.1 rejected by policy"], "config", "5.7.1"), (["data": "451 4.3.0 later"], "retry", "4.3.0"),
      (["drop": true], "unknown", nil),
    ] as [(JSON, String, String?)])
  func replies(mode: JSON, expected: String, code: String?) async throws {
    let (outcome, _) = try await Self.send(mode)
    #expect(outcome?["class"]?.string == expected)
    if let code { #expect(outcome?["providerCode"]?.string == code) }
  }

  @Test(
    "a server that does not reply to QUIT does not delay the outcome",
    arguments: [([:], "delivered", 8), (["rcpt": "550 5.1.1 no such user"], "permanent", 40)]
      as [(JSON, String, Double)])
  func hangingQuit(mode: JSON, expected: String, seconds: Double) async throws {
    let start = Date.now
    let (outcome, _) = try await Self.send(mode.setting("quit", 60))
    #expect(outcome?["class"]?.string == expected)
    #expect(Date.now.timeIntervalSince(start) < seconds)
  }

  @Test("STARTTLS is used if a server on this machine offers it")
  func opportunistic() async throws {
    let (outcome, mails) = try await Self.send(["tls": true])
    #expect(outcome?["class"] == "delivered")
    #expect(mails.first?["tls"] == true)
  }

  @Test("an unreachable mail server is a retry")
  func refused() async throws {
    let environment = ["EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": "1", "EMAIL_FROM": "leads@agency.example"]
    let input = Sample.line("email", "desk@agency.example").text
    let run = try await Run("notify-email", input: input, environment: environment)
    #expect(try run.lines.first?["outcome"]?["class"] == "retry")
    #expect(try run.lines.first?["outcome"]?["providerCode"] == "curl 7")
  }

  /// 0.0.0.0 also reaches this machine, but is not one of the addresses that may do without TLS.
  @Test("on another machine, STARTTLS is required, with a trusted certificate")
  func required() async throws {
    for (mode, code) in [([:], "curl 64"), (["tls": true], "curl 60")] as [(JSON, String)] {
      let (outcome, mails) = try await Self.send(mode, host: "0.0.0.0")
      #expect(outcome?["class"] == "config" && outcome?["providerCode"]?.string == code, "\(outcome?.text ?? "")")
      #expect(mails.isEmpty)
    }
  }

  @Test("a configured login is used, and a wrong one is a configuration error")
  func login() async throws {
    let (good, mails) = try await Self.send(["password": "right-one"], login: "right-one")
    #expect(good?["class"] == "delivered")
    #expect(mails.first?["login"] == true)
    let (bad, none) = try await Self.send(["password": "right-one"], login: "wrong-one")
    #expect(bad?["class"] == "config")
    #expect(bad?["statusCode"] == 535)
    #expect(none.isEmpty)
    #expect(bad?.text.contains("wrong-one") == false)
  }
}

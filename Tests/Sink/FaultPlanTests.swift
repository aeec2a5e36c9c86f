import Contract
import Forms
import Testing
import Wire

@testable import Sink

@Suite("Fault plans of the sink")
struct FaultPlanTests {
  /// Returns the errors of a plan, each with its path.
  static func errors(of text: String) -> [String] {
    do throws(Problem) {
      _ = try FaultPlan(reading: Array(text.utf8))
      return []
    } catch {
      return error.fields.isEmpty ? [error.detail] : error.fields.map(\.message)
    }
  }

  @Test(
    "names what is wrong with a plan",
    arguments: [
      ("", "the fault plan is invalid: it is not valid JSON"),
      ("[]", "the fault plan is invalid: it must be an object"),
      (#"{"fax":[]}"#, "fax must be one of"), (#"{"seed":"x"}"#, "seed must be a whole number"),
      (#"{"slack":{}}"#, "slack must be a list"), (#"{"slack":[{}]}"#, "slack[0] must be an object whose fail is"),
      (#"{"slack":[{"fail":"burn"}]}"#, "slack[0] must be an object whose fail is"),
      (#"{"slack":[{"fail":"hang","color":1}]}"#, "slack[0].color cannot be combined with hang on slack"),
      (#"{"slack":[{"fail":"refuse"}]}"#, "slack[0] must have a status"),
      (#"{"slack":[{"fail":"refuse","say":"invalid_block"}]}"#, "slack[0] must have a status"),
      (#"{"slack":[{"fail":"refuse","say":"x\ny","status":500}]}"#, "slack[0].say must be one line"),
      (#"{"slack":[{"fail":"refuse","status":200}]}"#, "slack[0].status must be a whole number from 300"),
      (#"{"slack":[{"fail":"refuse","status":500.5}]}"#, "slack[0].status must be a whole number"),
      (#"{"slack":[{"fail":"refuse","status":429,"retryAfter":-1}]}"#, "slack[0].retryAfter must be"),
      (#"{"slack":[{"fail":"refuse","status":429,"migrateTo":1}]}"#, "slack[0].migrateTo cannot be combined with"),
      (#"{"slack":[{"fail":"slow"}]}"#, "slack[0].milliseconds is missing"),
      (#"{"slack":[{"fail":"slow","milliseconds":0}]}"#, "slack[0].milliseconds must be"),
      (#"{"slack":[{"fail":"reset","at":"rcpt"}]}"#, "slack[0].at must be one of head, body"),
      (#"{"slack":[{"fail":"reset","at":"head","taken":true}]}"#, "slack[0].taken requires the stage body"),
      (#"{"slack":[{"fail":"drop","taken":1}]}"#, "slack[0].taken must be true or false"),
      (#"{"slack":[{"fail":"greylist"}]}"#, "slack[0] cannot be greylist on slack"),
      (#"{"slack":[{"fail":"drop","times":0}]}"#, "slack[0].times must be"),
      (#"{"slack":[{"fail":"drop","times":1,"percent":1}]}"#, "slack[0] must have either times or percent"),
      (#"{"slack":[{"fail":"drop","percent":101}]}"#, "slack[0].percent must be"),
      (
        #"{"slack":[{"fail":"drop","percent":60},{"fail":"hang","percent":41}]}"#,
        "slack has percentages that add up to 101"
      ),
      (#"{"email":[{"fail":"garble"}]}"#, "email[0] cannot be garble on email"),
      (#"{"email":[{"fail":"refuse","at":"rcpt"}]}"#, "email[0].say must be a 4xx or 5xx reply"),
      (#"{"email":[{"fail":"refuse","at":"rcpt","say":"250 Ok"}]}"#, "email[0].say must be a 4xx"),
      (#"{"email":[{"fail":"refuse","at":"rcpt","say":"550 x\r\n250 y"}]}"#, "email[0].say must be one line"),
      (#"{"email":[{"fail":"refuse","at":"head","say":"550 x"}]}"#, "email[0].at must be one of greeting"),
      (#"{"slack":[{"fail":"tls"}]}"#, "slack[0] cannot be tls on slack"),
      (#"{"email":[{"fail":"cut"}]}"#, "email[0] cannot be cut on email"),
      (#"{"email":[{"fail":"tls","at":"mail"}]}"#, "email[0].at cannot be combined with tls"),
      (#"{"email":[{"fail":"greylist","at":"data"}]}"#, "email[0].at must be one of rcpt, body"),
    ])
  func invalidPlans(text: String, message: String) {
    #expect(Self.errors(of: text).contains { $0.hasPrefix(message) }, "\(Self.errors(of: text))")
  }

  @Test("shows a plan as it was configured, and counts down")
  func sequence() throws {
    let text = """
      {"seed":7,"slack":[{"fail":"refuse","say":"no_service"},{"fail":"reset","at":"head"},{"fail":"drop","times":2,"taken":true}],\
      "telegram":[{"fail":"refuse","say":"Too Many Requests","retryAfter":3}],"email":[]}
      """
    var plan = try FaultPlan(reading: Array(text.utf8))
    #expect(plan.document["slack"]?.array?.map { $0["times"]?.integer } == [1, 1, 2])
    #expect(try FaultPlan(reading: plan.document.removing("x").bytes).document == plan.document)
    #expect(
      (0..<5).map { _ in plan.next(.slack)?.kind }
        == ["no_service", "reset at head", "drop at body", "drop at body", nil])
    #expect(plan.next(.email) == nil)
    #expect(plan.document["slack"] == [] && plan.document["telegram"]?.array?.count == 1)
    let fault = plan.next(.telegram)
    let reply = ProviderErrors.refusal(try #require(fault), on: .telegram)
    let body = try JSON(reading: reply.body)
    #expect(reply.status == 429 && reply.retryAfter == 3 && body["parameters"]?["retry_after"] == 3)
    #expect(body["description"] == "Too Many Requests: retry after 3")
  }

  @Test("percentages are reproducible for a seed, independent of other channels, and close to the plan")
  func shares() throws {
    let text =
      #"{"seed":5,"slack":[{"fail":"drop","percent":10},{"fail":"hang","percent":20}],"#
      + #""email":[{"fail":"greylist","percent":50}]}"#
    var first = try FaultPlan(reading: Array(text.utf8))
    var second = first
    let kinds = (0..<2000).map { _ in first.next(.slack)?.way }
    let again = (0..<2000).map { _ in
      _ = second.next(.email)
      return second.next(.slack)?.way
    }
    #expect(kinds == again)
    #expect(140...260 ~= kinds.count { $0 == .drop } && 320...480 ~= kinds.count { $0 == .hang })
    var other = try FaultPlan(reading: Array(text.replacing("\"seed\":5", with: "\"seed\":6").utf8))
    #expect(kinds != (0..<2000).map { _ in other.next(.slack)?.way })
  }

  static let mail = "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nMessage-ID: <1@b>\r\n\r\nx\r\n.\r\n"

  @Test(
    "an email fails at the planned stage, and the next one is accepted",
    arguments: [
      (#"{"fail":"refuse","at":"greeting","say":"421 4.3.2 busy"}"#, ["failed", "421", "close"]),
      (#"{"fail":"refuse","at":"hello","say":"502 5.5.1 no"}"#, ["220", "failed", "502"]),
      (#"{"fail":"refuse","at":"mail","say":"451 4.3.0 later"}"#, ["220", "250", "failed", "451"]),
      (#"{"fail":"refuse","at":"auth","say":"454 4.7.0 later"}"#, ["220", "250", "failed", "454"]),
      (#"{"fail":"refuse","at":"rcpt","say":"550 5.1.1 who"}"#, ["220", "250", "250", "failed", "550"]),
      (#"{"fail":"refuse","at":"data","say":"452 4.3.1 full"}"#, ["220", "250", "250", "250", "failed", "452"]),
      (
        #"{"fail":"refuse","at":"body","say":"554 5.6.0 no"}"#,
        ["220", "250", "250", "250", "354", "failed", "554"]
      ),
      (#"{"fail":"drop","at":"body"}"#, ["220", "250", "250", "250", "354", "failed", "close"]),
      (#"{"fail":"drop","taken":true}"#, ["220", "250", "250", "250", "354", "keep", "failed", "close"]),
      (#"{"fail":"reset","at":"data"}"#, ["220", "250", "250", "250", "failed", "reset"]),
      (#"{"fail":"hang","at":"rcpt"}"#, ["220", "250", "250", "failed"]),
      (#"{"fail":"greylist"}"#, ["220", "250", "250", "failed", "451"]),
      (#"{"fail":"tls"}"#, ["220", "250", "failed", "454"]),
      (
        #"{"fail":"slow","at":"rcpt","milliseconds":9}"#,
        ["220", "250", "250", "failed", "wait", "250", "354", "mail 1"]
      ),
    ])
  func stages(fault: String, expected: [String]) throws {
    let book = FaultBook(try FaultPlan(reading: Array("{\"email\":[\(fault)]}".utf8)))
    var session = SMTPSession(book)
    var replies = SMTPSessionTests.text(session.greet() + session.receive(Array(Self.mail.utf8)))
    // The client goes on after a refusal: its next commands are out of order (503), and lines of the body are not
    // commands (500).
    replies.removeAll { ["503", "500"].contains($0) }
    #expect(Array(replies.prefix(expected.count)) == expected)
    var next = SMTPSession(book)
    let good = SMTPSessionTests.text(next.greet() + next.receive(Array(Self.mail.utf8)))
    #expect(good == ["220", "250", "250", "250", "354", "mail 1"])
  }

  @Test("greylisting rejects an email once and accepts its later tries", arguments: ["rcpt", "body"])
  func greylist(stage: String) throws {
    let plan = try FaultPlan(reading: Array(#"{"email":[{"fail":"greylist","at":"\#(stage)","percent":100}]}"#.utf8))
    let book = FaultBook(plan)
    for expected in [false, true, true] {
      var session = SMTPSession(book)
      let replies = SMTPSessionTests.text(session.greet() + session.receive(Array(Self.mail.utf8)))
      #expect(replies.contains("mail 1") == expected && replies.contains("451") != expected)
    }
  }
}

import Contract
import Forms
import Testing
import Wire

@Suite("Replies that a gateway accepts") struct ReplyTests {
  private func read(_ text: String) throws -> Reply { try Reply(reading: Array(text.utf8)) }

  @Test("a reply survives a round trip") func roundTrip() throws {
    var reply = Reply(status: 201, ["id": "x"], headers: ["idempotency-replayed": "true"])
    reply.cookies = ["a=1; HttpOnly", "b=2"]
    #expect(try Reply(reading: reply.envelope.bytes) == reply)
    let binary = Reply(status: 200, headers: ["content-type": "image/png"], body: [0x89, 0, 0xFF])
    #expect(try Reply(reading: binary.envelope.bytes) == binary)
  }

  @Test("a document without statusCode is the body of a 200") func bare() throws {
    #expect(try read(#"{"a":1}"#) == Reply(status: 200, ["a": 1]))
    #expect(try read(#""text""#).body == Array("text".utf8))
  }

  @Test("drops hop-by-hop headers and Content-Length") func hopByHop() throws {
    let reply = try read(#"{"statusCode":200,"headers":{"Connection":"x","Content-Length":"9","X-A":"1"},"body":"b"}"#)
    #expect(reply.headers == ["x-a": "1", "content-type": "application/json"])
  }

  @Test(
    "rejects anything else",
    arguments: [
      "", "not json", #"{"statusCode":199}"#, #"{"statusCode":600}"#, #"{"statusCode":"200"}"#, #"{"statusCode":2e2}"#,
      #"{"statusCode":200,"headers":{"a b":"x"}}"#, #"{"statusCode":200,"headers":{"a":"x\r\ny: z"}}"#,
      #"{"statusCode":200,"headers":{"a":["x"]}}"#, #"{"statusCode":200,"cookies":["a\nb"]}"#,
      #"{"statusCode":200,"body":"!!!","isBase64Encoded":true}"#, #"{"statusCode":200}{"statusCode":200}"#,
    ])
  func rejects(_ text: String) {
    #expect {
      try read(text)
    } throws: { $0 is InvalidReply }
  }
}

@Suite("Requests in envelopes") struct RequestTests {
  @Test("a request survives the round trip from gateway to handler") func roundTrip() throws {
    var request = Request(
      method: "POST", path: "/api/x%20y", requestID: "abc", receivedAt: Instant(milliseconds: 1_583_348_638_390))
    request.rawQuery = "a=1&a=2"
    request.query = ["a": "1,2"]
    request.headers = ["content-type": "application/json", "cookie": "a=1; b=2"]
    request.pathParameters = ["id": "5"]
    request.sourceIP = "203.0.113.9"
    let deadline = Instant.steady.adding(seconds: 10)
    request.deadline = deadline
    for body in [Array("{}".utf8), [0xFF, 0x00, 0x10]] as [[UInt8]] {
      request.body = body
      let envelope = request.envelope(routeKey: "POST /api/x", userAgent: "", host: "localhost")
      let read = try Request(envelope: try JSON(reading: envelope.bytes))
      #expect(read.body == body && read.headers == request.headers)
      // An envelope has a time of the wall clock.
      let inEnvelope = try #require(envelope["requestContext"]?["x"]?["deadlineMs"]?.integer)
      #expect(abs(inEnvelope - Instant.now.milliseconds - 10_000) < 1000)
      #expect(abs(try #require(read.deadline).milliseconds - deadline.milliseconds) < 100)
      #expect(read.path == request.path && read.query == request.query && read.pathParameters == ["id": "5"])
      #expect(read.requestID == "abc" && read.receivedAt == request.receivedAt && read.sourceIP == "203.0.113.9")
      #expect(envelope["cookies"] == ["a=1", "b=2"])
      #expect(envelope["requestContext"]?["time"] == "04/Mar/2020:19:03:58 +0000")
    }
  }

  @Test(
    "accepts only JSON in UTF-8 as a body",
    arguments: [
      ("application/json", true), ("application/json; charset=utf-8", true),
      ("Application/JSON;charset=\"UTF-8\"", true), ("application/json; charset=utf8", true),
      ("application/json;charset=\"UTF8\"", true), ("application/json; charset=utf8; charset=utf-16", false),
      ("application/json; charset=utf-8\"", false), ("application/json; charset=utf", false),
      ("", false), ("text/plain", false), ("application/json; charset=utf-16", false), ("application/jsonp", false),
      ("application/x-www-form-urlencoded", false), ("text/plain; application/json", false),
    ])
  func contentType(_ value: String, _ isAccepted: Bool) {
    var request = Request(method: "POST", path: "/", requestID: "a", receivedAt: .now)
    request.headers = ["content-type": value]
    request.body = Array("{}".utf8)
    let result = Result { () throws(Problem) in try request.json() }
    #expect(result == (isAccepted ? .success([:]) : .failure(Problem(.unsupportedMediaType))))
  }

  @Test(
    "accepts a request id of 1 to 128 ASCII letters, digits and -_.:=/ only",
    arguments: [
      "", "a b", "a\nb", "a\"b", "é", "<1>", "ann@example.com+971501234567", String(repeating: "a", count: 129),
    ])
  func ids(_ id: String) {
    #expect(Request.cleanID(id) == nil)
    #expect(Request.cleanID("abc-123") == "abc-123")
  }
}

@Suite("Settings") struct SettingsTests {
  @Test("reports all errors at once, without the values") func errors() {
    let declared = [Setting("A", required: true), .number("B", 1...5), .choice("C", ["x", "y"]), Setting("D")]
    #expect {
      try Settings(declared, from: ["A": "", "B": "secret", "C": "z", "D": "d"])
    } throws: { error in
      guard let problem = error as? Problem else { return false }
      return problem.kind == .misconfigured && problem.fields.map(\.path) == ["A", "B", "C"]
        && !problem.detail.contains("secret")
    }
  }

  @Test("a description survives a round trip") func description() throws {
    let description = Description(
      name: "a-b", kind: .endpoint, summary: "s", routes: [.init("GET", "/x/{id}")], access: .admin, rateClass: "admin",
      bodyLimit: 5, timeLimitMs: 6, streams: false, environment: [Setting("A", required: true)],
      input: .init(["a": 1], query: ["q": 1], headers: ["h": 1]),
      output: .init([:], statuses: [200, 201], types: ["text/csv"], headers: ["r": 1], problems: [404, 409]))
    #expect(try Description(reading: description.document) == description)
    #expect(description.document["streams"] == false)
  }

  @Test(
    "rejects a description with invalid statuses or types",
    arguments: [
      ("statuses", [199]), ("statuses", [200, 200]), ("statuses", "200"), ("problems", [200]), ("problems", ["404"]),
      ("types", []), ("types", ["json"]), ("types", ["a/b; c=d"]),
    ] as [(String, JSON)])
  func listsOfADescription(_ member: String, _ value: JSON) {
    let description = Description(name: "a", kind: .endpoint, summary: "s", input: .init([:]), output: .init([:]))
    #expect(throws: InvalidDescription.self) { try Description(reading: description.document.setting(member, value)) }
  }
}

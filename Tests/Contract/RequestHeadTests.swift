import Testing

@testable import Contract

@Suite struct RequestHeadTests {
  private func head(
    _ fields: [(String, String)], uri: String = "/", isHTTP10: Bool = false
  ) throws -> RequestHead {
    try RequestHead(
      MessageHead(method: "POST", target: uri, isHTTP10: isHTTP10, fields: fields.map { (name: $0.0, value: $0.1) }))
  }

  @Test(arguments: [
    [("x", "1")], [("host", "a"), ("Host", "a")], [("host", "a@b")], [("host", "a/b")], [("host", "a b")],
    [("host", "a:99999")], [("host", "a:+1")], [("host", "[::1")], [("host", "[::1]x")],
    [("host", "a:b:1")],
    [("host", "a\u{FFFD}")], [("host", "a"), ("x", "\u{FFFD}")],
    [("host", "a"), ("idempotency-key", "1"), ("Idempotency-Key", "1")],
  ])
  func rejects(fields: [(String, String)]) {
    #expect { try head(fields) } throws: { ($0 as? Problem)?.kind == .badInput }
  }

  @Test func detectsWhetherABodyFollows() throws {
    let host = ("host", "a")
    #expect(try !head([host]).hasBody && head([host]).bodyLength == 0)
    #expect(try !head([host, ("content-length", "0")]).hasBody)
    #expect(try head([host, ("content-length", "005")]).bodyLength == 5)
    #expect(try head([host, ("transfer-encoding", "chunked")]).hasBody)
    #expect(try head([host, ("transfer-encoding", "chunked")]).bodyLength == nil)
    #expect { try head([host, ("expect", "a miracle")]) } throws: { ($0 as? Problem)?.kind == .expectationFailed }
  }

  @Test func passesOnOnlyTheHeadersForTheHandler() throws {
    let fields = [
      ("Host", "example.com:80"), ("X-A", "1"), ("x-a", "2"), ("Proxy", "p"), ("X_A", "3"), ("TE", "trailers"),
      ("Connection", "close, X-Hop, X-Forwarded-For"), ("X-Hop", "4"), ("Content-Length", "3"),
      ("X-Forwarded-For", "1.2.3.4"), ("x-forwarded-for", "5.6.7.8, 9.9.9.9"),
    ]
    let head = try head(fields)
    #expect(head.headers == ["host": "example.com:80", "x-a": "1,2", "content-length": "3"])
    #expect(head.host == "example.com")
    #expect(head.bodyLength == 3)
    #expect(head.forwardedFor == ["1.2.3.4", "5.6.7.8, 9.9.9.9"])
    #expect(try self.head([], isHTTP10: true).host == "")
    #expect(try self.head([("host", "[::1]:80")]).host == "[::1]")
  }
}

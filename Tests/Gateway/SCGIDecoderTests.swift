import Host
import Limits
import NIOHTTP1
import Testing

@testable import gateway

/// Requests by SCGI as text.
enum SCGI {
  static let post = [
    ("CONTENT_LENGTH", "5"), ("SCGI", "1"), ("REQUEST_METHOD", "POST"), ("REQUEST_URI", "/a%20b?c=d"),
    ("SERVER_PROTOCOL", "HTTP/1.1"), ("CONTENT_TYPE", "application/json"), ("REMOTE_ADDR", "192.0.2.7"),
    ("HTTP_HOST", "example.com"), ("HTTP_X_REQUEST_ID", "one"),
  ]

  /// `variables` with others in place of those of the same name. A value of nil removes one.
  static func post(_ changes: (String, String?)...) -> [(String, String)] {
    var variables = post
    for (name, value) in changes {
      let index = variables.firstIndex { $0.0 == name }
      switch (index, value) {
      case (let index?, let value?): variables[index].1 = value
      case (let index?, nil): variables.remove(at: index)
      case (nil, let value?): variables.append((name, value))
      case (nil, nil): break
      }
    }
    return variables
  }

  static func netstring(_ text: String) -> String { "\(text.utf8.count):\(text)," }

  static func request(_ variables: [(String, String)], body: String = "hello") -> String {
    netstring(variables.map { "\($0.0)\0\($0.1)\0" }.joined()) + body
  }
}

/// Tests of the decoder without a channel. Every text is also fed byte by byte and in pieces of 7, with the same
/// result.
@Suite("Strict SCGI") struct SCGIDecoderTests {
  private struct Result: Equatable {
    var head: SCGIHead?
    var body: [UInt8] = []
    var hasEnded = false
    var violation: FramingScanner.Violation?
  }

  /// - Parameter isClosed: true if the client then sends no more.
  private func decode(_ pieces: [ArraySlice<UInt8>], isClosed: Bool) -> Result {
    var decoder = SCGIDecoder()
    var result = Result()
    for part in pieces.flatMap({ decoder.feed($0) }) {
      #expect(!result.hasEnded)
      switch part {
      case .head(let head): result.head = head
      case .body(let bytes): result.body += bytes
      case .end: result.hasEnded = true
      }
    }
    if isClosed { decoder.endOfInput() }
    result.violation = decoder.violation
    return result
  }

  private func decode(_ text: String, isClosed: Bool = false) -> Result {
    let bytes = Array(text.utf8)
    let whole = decode([bytes[...]], isClosed: isClosed)
    for size in [1, 7] {
      let pieces = stride(from: 0, to: bytes.count, by: size).map { bytes[$0..<min($0 + size, bytes.count)] }
      #expect(decode(pieces, isClosed: isClosed) == whole)
    }
    return whole
  }

  private func head(_ variables: [(String, String)]) -> SCGIHead? {
    let result = decode(SCGI.request(variables))
    #expect(result.violation == nil)
    return result.head
  }

  @Test func readsARequest() throws {
    let result = decode(SCGI.request(SCGI.post))
    let head = try #require(result.head)
    #expect(head.method == "POST" && head.target == "/a%20b?c=d" && !head.isHTTP10 && head.bodyLength == 5)
    #expect(head.names == ["connection", "content-length", "content-type", "host", "x-request-id"])
    #expect(head.values == ["close", "5", "application/json", "example.com", "one"])
    #expect(head.client == ClientAddress("192.0.2.7").map { .address($0) })
    #expect(result.body == Array("hello".utf8) && result.hasEnded && result.violation == nil)
  }

  @Test func readsTheSameAtEverySplit() {
    let bytes = Array((SCGI.request(SCGI.post) + "behind it").utf8)
    let whole = decode([bytes[...]], isClosed: true)
    #expect(whole.hasEnded && whole.violation == nil && whole.body.count == 5)
    for split in 0...bytes.count {
      #expect(decode([bytes[..<split], bytes[split...]], isClosed: true) == whole, "split at \(split)")
    }
  }

  @Test func reportsARequestThatEndsEarly() {
    let text = SCGI.request(SCGI.post)
    for count in 1..<text.utf8.count {
      let part = String(text.prefix(count))
      #expect(decode(part).violation == nil)
      #expect(decode(part, isClosed: true).violation == .malformed("the request ends early"), "\(count) bytes")
    }
    #expect(decode("", isClosed: true).violation == nil)
    #expect(decode(text, isClosed: true).violation == nil)
  }

  static let malformedHeads: [String] = [
    "x", ":", "0:,", "00:", "01:", "+5:", "-5:", " 5:", "5 :", "5x", "5\n", "GET / HTTP/1.1\r\n\r\n",
    "\u{16}\u{3}\u{1}",
    "\u{665}:", "1:,,", "5:abcde.", SCGI.netstring("CONTENT_LENGTH"), SCGI.netstring("\0"), SCGI.netstring("\0\0"),
    SCGI.netstring("CONTENT_LENGTH\u{0}0"), SCGI.netstring("CONTENT_LENGTH\u{0}0\u{0}SCGI\u{0}1"),
    SCGI.netstring("CONTENT_LENGTH\u{0}0\u{0}SCGI\u{0}"), SCGI.netstring("CONTENT_LENGTH\u{0}0\u{0}"),
    SCGI.netstring("SCGI\u{0}1\u{0}CONTENT_LENGTH\u{0}0\u{0}"), String(SCGI.request(SCGI.post).dropLast(6)) + ";",
  ]

  static let malformedVariables: [(String, String?)] = [
    ("CONTENT_LENGTH", ""), ("CONTENT_LENGTH", "+5"), ("CONTENT_LENGTH", "-0"), ("CONTENT_LENGTH", "0x5"),
    ("CONTENT_LENGTH", "5,5"), ("CONTENT_LENGTH", " 5"), ("CONTENT_LENGTH", "5 "), ("CONTENT_LENGTH", "\u{665}"),
    ("CONTENT_LENGTH", "99999999999999999999"), ("CONTENT_LENGTH", "1e1"), ("SCGI", nil), ("SCGI", "2"), ("SCGI", ""),
    ("SCGI", "11"), ("REQUEST_METHOD", nil), ("REQUEST_METHOD", ""), ("REQUEST_METHOD", "get"),
    ("REQUEST_METHOD", "G ET"), ("REQUEST_METHOD", "GET\r\n"), ("REQUEST_URI", nil), ("REQUEST_URI", ""),
    ("REQUEST_URI", "/ "), ("REQUEST_URI", "/\u{E9}"), ("REQUEST_URI", "/\r\nX: y"), ("REQUEST_URI", "/\u{7F}"),
    ("SERVER_PROTOCOL", ""), ("SERVER_PROTOCOL", "HTTP/0.9"), ("SERVER_PROTOCOL", "http/1.1"),
    ("SERVER_PROTOCOL", "HTTP/1.1 "), ("HTTP_HOST", "a b"), ("HTTP_HOST", " a"), ("HTTP_HOST", "a\t"),
    ("CONTENT_TYPE", "a\r\nX: y"), ("HTTP_", "x"), ("HTTP_A B", "x"), ("HTTP_A:", "x"), ("HTTP_\u{E9}", "x"),
    ("HTTP_X\r", "x"), ("", "x"),
  ]

  static let controls: [String] = ["\u{1}", "\u{8}", "\n", "\u{B}", "\u{C}", "\r", "\r\n", "\u{1F}", "\u{7F}"]

  static let single: [String] = [
    "CONTENT_LENGTH", "SCGI", "REQUEST_METHOD", "REQUEST_URI", "SERVER_PROTOCOL", "CONTENT_TYPE", "REMOTE_ADDR",
  ]

  static var malformed: [String] {
    var all = malformedHeads
    for change in malformedVariables { all.append(SCGI.request(SCGI.post(change))) }
    for control in controls { all.append(SCGI.request(SCGI.post(("HTTP_X", "a" + control + "b")))) }
    for name in single { all.append(SCGI.request(SCGI.post + SCGI.post.filter { $0.0 == name })) }
    return all
  }

  @Test("rejects what is malformed", arguments: malformed) func rejects(_ text: String) {
    let result = decode(text)
    guard case .malformed = result.violation else {
      Issue.record("\(text.debugDescription) is \(result)")
      return
    }
    #expect(result.head == nil && !result.hasEnded)
  }

  @Test func ignoresTheHeadersThatHTTPWouldNotHave() {
    let head = head(
      SCGI.post(
        ("HTTP_PROXY", "http://evil"), ("HTTP_CONTENT_LENGTH", "99"), ("HTTP_CONTENT_TYPE", "text/plain"),
        ("HTTP_TRANSFER_ENCODING", "chunked"), ("DOCUMENT_ROOT", "/"), ("HTTPS", "on"), ("X", "\u{1}")))
    #expect(head?.names == ["connection", "content-length", "content-type", "host", "x-request-id"])
    #expect(head?.values == ["close", "5", "application/json", "example.com", "one"])
  }

  @Test func keepsRepeatedHeadersAndTrimsValues() {
    let twice = SCGI.post + [("HTTP_X_FORWARDED_FOR", "a"), ("HTTP_X_FORWARDED_FOR", " \tb \t"), ("HTTP_EMPTY", "")]
    #expect(head(twice)?.names.suffix(3) == ["x-forwarded-for", "x-forwarded-for", "empty"])
    #expect(head(twice)?.values.suffix(3) == ["a", "b", ""])
  }

  static let paths: [([String], String)] = [
    (["/api"], "/api"), (["/api", "/leads"], "/api/leads"), (["", "/a b/\u{E9}%?#"], "/a%20b/%C3%A9%25%3F%23"),
    (["", "/a", "c=%20"], "/a?c=%20"), (["", "/\n"], "/%0A"),
  ]

  @Test(arguments: paths)
  func encodesThePathOfAServerThatSendsNoTarget(parts: [String], target: String) {
    var changes = SCGI.post(("REQUEST_URI", nil))
    for (name, value) in zip(["SCRIPT_NAME", "PATH_INFO", "QUERY_STRING"], parts) { changes.append((name, value)) }
    #expect(head(changes)?.target == target)
  }

  @Test func theTargetOverridesThePath() {
    #expect(head(SCGI.post(("SCRIPT_NAME", "/x"), ("QUERY_STRING", "y")))?.target == "/a%20b?c=d")
  }

  @Test(arguments: [
    ("HTTP/1.0", true), ("HTTP/1.1", false), ("HTTP/2.0", false), ("HTTP/3.0", false), (nil, false),
  ])
  func version(of text: String?, isHTTP10: Bool) {
    #expect(head(SCGI.post(("SERVER_PROTOCOL", text)))?.isHTTP10 == isHTTP10)
  }

  @Test func theServerNameIsTheHostWithoutOne() throws {
    let none = try #require(head(SCGI.post(("HTTP_HOST", nil), ("SERVER_NAME", "name.example"))))
    #expect(none.names.last == "host" && none.values.last == "name.example")
    #expect(head(SCGI.post(("SERVER_NAME", "name.example")))?.values.contains("name.example") == false)
    #expect(head(SCGI.post(("HTTP_HOST", nil)))?.names.contains("host") == false)
  }

  static let clients: [(String?, TrustedProxies.Peer)] = [
    (nil, .unknown), ("", .unknown), ("1.2.3", .unknown), ("192.0.2.1:80", .unknown), ("fe80::1%eth0", .unknown),
    (" 192.0.2.1", .unknown), ("a", .unknown), ("unix:", .unixSocket), ("::ffff:192.0.2.1", .address(.v4(0xC000_0201))),
    ("2001:db8::1", .address(.v6(0x2001_0DB8_0000_0000, 1))),
  ]

  @Test(arguments: clients)
  func client(_ text: String?, _ client: TrustedProxies.Peer) {
    #expect(head(SCGI.post(("REMOTE_ADDR", text)))?.client == client)
  }

  @Test func enforcesTheLimitsOfHTTP() {
    let line = "POST  HTTP/1.1\r\n".utf8.count
    let longest = "/" + String(repeating: "a", count: 8192 - line - 1)
    #expect(head(SCGI.post(("REQUEST_URI", longest))) != nil)
    #expect(decode(SCGI.request(SCGI.post(("REQUEST_URI", longest + "a")))).violation == .lineTooLong)
    let others = "Content-Type: application/json\r\nHost: example.com\r\nX-Request-Id: one\r\nX: \r\n".utf8.count
    let largest = String(repeating: "a", count: 16_384 - others)
    #expect(head(SCGI.post(("HTTP_X", largest))) != nil)
    #expect(decode(SCGI.request(SCGI.post(("HTTP_X", largest + "a")))).violation == .headersTooLarge)
    let many = (0..<98).map { ("HTTP_X\($0)", "") }
    #expect(head(SCGI.post + many) != nil)
    #expect(decode(SCGI.request(SCGI.post + many + [("HTTP_Y", "")])).violation == .headersTooLarge)
    // The length alone is refused, before the head arrives.
    #expect(
      decode("49153:").violation == .headersTooLarge && decode("9999999999999999999999").violation == .headersTooLarge)
    #expect(decode("49152:").violation == nil)
  }

  @Test func reportsAnUnknownMethodWithItsTarget() {
    #expect(
      decode(SCGI.request(SCGI.post(("REQUEST_METHOD", "BREW")))).violation
        == .unknownMethod("BREW", target: "/a%20b?c=d"))
  }

  @Test func writesTheReplyOfACGIProgram() {
    let head = HTTPResponseHead(
      version: .http1_1, status: .created,
      headers: [
        "content-length": "2", "connection": "close", "date": "now", "Status": "500", "transfer-encoding": "chunked",
        "set-cookie": "a=1", "Set-Cookie": "b=2", "location": "/x",
      ])
    let expected = [
      "Status: 201 Created", "content-length: 2", "set-cookie: a=1", "Set-Cookie: b=2", "location: /x", "", "",
    ].joined(separator: "\r\n")
    #expect(CGIReply.head(head) == expected)
  }
}

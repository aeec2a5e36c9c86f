import Testing

@testable import gateway

/// Tests of the scanner without a channel. Every text is also fed in pieces of 1 and 7 bytes, with the same result.
@Suite("Strict framing of HTTP") struct FramingScannerTests {
  private func scan(_ bytes: [UInt8], by size: Int) -> FramingScanner {
    var scanner = FramingScanner()
    var rest = bytes[...]
    while !rest.isEmpty, scanner.violation == nil {
      let part = rest.prefix(size)
      let good = scanner.feed(part)
      #expect(good == part.count || scanner.hasEnded || scanner.violation != nil)
      rest = rest.dropFirst(good)
    }
    return scanner
  }

  private func violation(_ text: String) -> FramingScanner.Violation? {
    let bytes = Array(text.utf8)
    let whole = scan(bytes, by: max(1, bytes.count)).violation
    #expect(scan(bytes, by: 1).violation == whole)
    #expect(scan(bytes, by: 7).violation == whole)
    return whole
  }

  private static let post = "POST / HTTP/1.1\r\nHost: a\r\n"
  private static let chunked = post + "Transfer-Encoding: chunked\r\n\r\n"

  static let good = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "\r\nGET / HTTP/1.1\r\nHost:a\r\n\r\n",
    post + "Content-Length: 5\r\n\r\nhello", post + "Content-Length:5\r\n\r\nhello", post + "content-length: 0\r\n\r\n",
    post + "Content-Length: 005\r\n\r\nhello", post + "X:\t tab and spaces \t\r\nEmpty:\r\n\r\n",
    post + "X: \u{E9}\r\n\r\n",
    chunked + "5\r\nhello\r\n0\r\n\r\n", chunked + "0005\r\nhello\r\n0\r\n\r\n",
    chunked + "5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    chunked + "A\r\n0123456789\r\n000\r\n\r\n", post + "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
    chunked + "5;\(String(repeating: "a", count: 255))\r\nhello\r\n0\r\n\r\n",
    // A body may contain any bytes, and the next message begins directly after it.
    post + "Content-Length: 4\r\n\r\n\n\r\0\u{7F}GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    chunked + "4\r\n\n\r\0\u{7F}\r\n0\r\n\r\n\r\nDELETE /x?y HTTP/1.1\r\n\r\n",
    "GET /\(String(repeating: "a", count: 8192 - 16)) HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\n\(String(repeating: "A: b\r\n", count: 100))\r\n",
    "GET / HTTP/1.1\r\nA: \(String(repeating: "a", count: 16_384 - 5))\r\n\r\n",
  ]

  @Test("accepts well-formed messages and finds their end", arguments: good) func accepts(_ text: String) {
    #expect(violation(text) == nil)
    let scanner = scan(Array(text.utf8), by: 1000)
    #expect(!scanner.isInHead && scanner.lineBytes == 0)
  }

  static let malformed: [String] =
    [
      "get / HTTP/1.1\r\n", "GEt / HTTP/1.1\r\n", "G=\": / HTTP/1.1\r\n", "GET  / HTTP/1.1\r\n", "GET /  HTTP/1.1\r\n",
      " GET / HTTP/1.1\r\n",
      "GET / HTTP/1.1 \r\n", "GET\t/ HTTP/1.1\r\n", "GET /\tHTTP/1.1\r\n", "GET /\r\n", "GET\r\n", "GET / \r\n",
      "GET / HTTP/1.2\r\n", "GET / HTTP/2.0\r\n",
      "GET / HTTP/1.32\r\n", "GET / HTTP/0.9\r\n", "GET / http/1.1\r\n", "GET / HTTP/1.1x\r\n", "GET / HTTP/11\r\n",
      "GET / HTTP/+1.1\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "GET /\u{E9} HTTP/1.1\r\n", "GET /\u{7F} HTTP/1.1\r\n", "GET / HTTP/1.1\n", "GET / HTTP/1.1\rX",
      "GET / HTTP/1.1\0\r\n", "\r\n\r\nGET / HTTP/1.1\r\n", "\nGET / HTTP/1.1\r\n",
      "\u{16}\u{3}\u{1}", "GET / x HTTP/1.1\r\n", ": / HTTP/1.1\r\n",
    ]
    + [
      " X: y", "X : y", "X\t: y", ": y", "X", "", "X Y: z", "\tX: y", "X(: y", "\u{E9}: y", "X: y\u{0}", "X: \u{8}y",
      "X: y\u{B}", "X: \u{C}", "X: y\u{1F}", "X: \u{7F}",
      "X: y\n", "X: y\rZ: a", "Content-Length: +5", "Content-Length: -0", "Content-Length: 0x5", "Content-Length: 5,5",
      "Content-Length: 5, 5", "Content-Length: 5 5",
      "Content-Length:", "Content-Length: ", "Content-Length:  5", "Content-Length:\t5", "Content-Length: 5 ",
      "Content-Length: 5\t", "Content-Length: 5\u{A0}",
      "Content-Length: 99999999999999999999", "Content-Length: 1e1", "Content-Length: 5.0", "Content-Length: \u{665}",
      "Content-Length: five",
      "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5\r\ncontent-length: 6",
      "Content-Length: 5\r\nTransfer-Encoding: chunked",
      "Transfer-Encoding: chunked\r\nContent-Length: 5", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
      "Transfer-Encoding: xchunked",
      "Transfer-Encoding: chunkedx", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity",
      "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked,",
      "Transfer-Encoding: ,chunked", "Transfer-Encoding:\tchunked", "Transfer-Encoding: \tchunked",
      "Transfer-Encoding:  chunked", "Transfer-Encoding: chunked ", "Transfer-Encoding: chunked\t",
      "Transfer-Encoding: chunked;q=1", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding:",
      "Transfer-Encoding: chunked\u{A0}", "Transfer-Encoding : chunked",
      "Transfer-Encoding\u{A0}: chunked", "Transfer-Encoding: \u{212A}chunked", "Transfer\u{0}-Encoding: chunked",
      "Host:  a", "Host:\ta", "Host: a ", "Host: a\t", "X: y\r\n folded", "X: y\r\n\tfolded",
    ].map { $0.isEmpty ? "" : "POST / HTTP/1.1\r\n\($0)\r\n" }.filter { !$0.isEmpty }
    + [
      "+5\r\n", "-5\r\n", "0x5\r\n", "0_2e\r\n", " 5\r\n", "5 \r\n", "5\t\r\n", "\r\n", ";a\r\n", "g\r\n", "5\n",
      "5\rh", "\u{665}\r\n", "00000000000000005\r\n",
      "10000000000000000\r\n", "ffffffffffffffff\r\n", "fffffffffffffff0\r\n", "5,5\r\n",
      "5;\(String(repeating: "a", count: 256))\r\n",
      "5;\(String(repeating: "a", count: 65_536))", "5;a\n", "5;\u{0}\r\n", "5;\u{E9}\r\n", "5\r\nhello!",
      "5\r\nhello\n", "5\r\nhello\rx", "5\r\nhello5\r\n", "1\r\na\r\n\r\n",
      "0\r\nContent-Length: 5\r\n", "0\r\nTransfer-Encoding: chunked\r\n", "0\r\nhost: a\r\n", "0\r\nX : y\r\n",
      "0\r\n X: y\r\n", "0\r\nX: y\n", "0\n", "0\r\n\n",
    ].map { chunked + $0 }

  @Test("rejects what two parsers could read differently", arguments: malformed) func rejects(_ text: String) {
    guard case .malformed = violation(text) else {
      Issue.record("\(text.debugDescription) is \(String(describing: violation(text)))")
      return
    }
  }

  @Test func enforcesItsLimits() {
    #expect(violation("GET /\(String(repeating: "a", count: 8192 - 15)) HTTP/1.1\r\n") == .lineTooLong)
    #expect(violation("GET / HTTP/1.1\r\n\(String(repeating: "A: b\r\n", count: 101))\r\n") == .headersTooLarge)
    #expect(violation("GET / HTTP/1.1\r\nA: \(String(repeating: "a", count: 16_384 - 2))") == .headersTooLarge)
    #expect(
      violation("GET / HTTP/1.1\r\n\(String(repeating: "A: \(String(repeating: "a", count: 500))\r\n", count: 33))")
        == .headersTooLarge)
    #expect(violation(Self.chunked + "0\r\n" + String(repeating: "A: b\r\n", count: 101)) == .headersTooLarge)
  }

  @Test("reports an unknown method with its target") func methods() {
    #expect(violation("BREW /pot HTTP/1.1\r\n") == .unknownMethod("BREW", target: "/pot"))
    #expect(violation("CONNECT a:80 HTTP/1.1\r\n") == .unknownMethod("CONNECT", target: "a:80"))
    #expect(violation("M-SEARCH * HTTP/1.1\r\n") == .unknownMethod("M-SEARCH", target: "*"))
  }

  @Test("counts the valid bytes, and the bytes of an incomplete request line") func lines() {
    var scanner = FramingScanner()
    #expect(scanner.feed(Array("\r\nGET /".utf8)) == 7 && scanner.lineBytes == 7 && scanner.isInHead)
    #expect(scanner.feed(Array(" HTTP/1.1\r\nHost".utf8)) == 15 && scanner.lineBytes == 0 && scanner.isInHead)
    #expect(scanner.feed(Array(": a\r\n\r\nGET / HTTP/9.9\r\n".utf8)) == 7 && scanner.hasEnded)
    #expect(scanner.feed(Array("GET / HTTP/9.9\r\n".utf8)) == 15 && scanner.lineBytes == 15 && !scanner.hasEnded)
    #expect(scanner.violation == .malformed("the protocol must be HTTP/1.1 or HTTP/1.0"))
  }

  @Test("gives random bytes the same verdict however they are split", arguments: 0..<20) func random(
    seed: UInt64
  ) {
    var random = Xorshift(state: seed + 1)
    let pieces = [
      "GET / HTTP/1.1\r\n", "Host: a\r\n", "\r\n", "\r", "\n", "Content-Length: 3\r\n",
      "Transfer-Encoding: chunked\r\n", "3\r\n", "abc", "0\r\n", ":", " ", "\0", "POST /a HTTP/1.0\r\n", ";x",
    ]
    for _ in 0..<2000 {
      _ = violation(
        (0..<Int.random(in: 1...14, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }.joined())
    }
  }
}

private struct Xorshift: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}

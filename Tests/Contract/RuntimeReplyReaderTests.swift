import Contract
import Testing

@Suite("Replies of Lambda's runtime API") struct RuntimeReplyReaderTests {
  private static let replies: [(wire: String, status: Int, body: String, isKeptAlive: Bool)] = [
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true),
    ("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", 202, "", true),
    ("HTTP/1.1 204\r\n\r\n", 204, "", true),
    ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false),
    ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false),
    ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true),
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 Too large\r\nContent-Length: 1\r\n\r\nx", 413, "x", true),
    (
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n00A\r\n, 0\r\nworld\r\n0\r\nT: x\r\n\r\n",
      200,
      "hello, 0\r\nworld", true
    ),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n", 200, "", true),
  ]

  private func read(_ pieces: [ArraySlice<UInt8>], bodyLimit: Int = 1000) throws -> RuntimeReply? {
    var reader = RuntimeReplyReader(bodyLimit: bodyLimit)
    for (index, piece) in pieces.enumerated() {
      if let reply = try reader.add(piece) {
        #expect(index == pieces.count - 1, "the reply was complete before its last byte")
        return reply
      }
    }
    return nil
  }

  @Test("are read wherever the bytes are split", arguments: replies)
  func everySplit(_ wire: String, _ status: Int, _ body: String, _ isKeptAlive: Bool) throws {
    let bytes = Array(wire.utf8)
    var splits: [[ArraySlice<UInt8>]] = (1..<bytes.count).map { [bytes[..<$0], bytes[$0...]] }
    splits.append([bytes[...]])
    splits.append(bytes.indices.map { bytes[$0...$0] })
    for pieces in splits {
      let reply = try #require(try read(pieces))
      #expect(reply.status == status && reply.body == Array(body.utf8) && reply.isKeptAlive == isKeptAlive)
    }
  }

  @Test("are not complete before their last byte", arguments: replies)
  func everyPrefix(_ wire: String, _ status: Int, _ body: String, _ isKeptAlive: Bool) throws {
    let bytes = Array(wire.utf8)
    for end in bytes.indices {
      var reader = RuntimeReplyReader(bodyLimit: 1000)
      #expect(try reader.add(bytes[..<end]) == nil)
      #expect(throws: RuntimeFailure.self) { try reader.end() }
    }
  }

  @Test("have headers with lower-case names, trimmed and joined") func headers() throws {
    let wire = "HTTP/1.1 200 OK\r\nLambda-Runtime-Deadline-Ms:\t 17 \r\nX: a\r\nx:b\r\nContent-Length: 0\r\n\r\n"
    let reply = try #require(try read([Array(wire.utf8)[...]]))
    #expect(reply.headers == ["lambda-runtime-deadline-ms": "17", "x": "a,b", "content-length": "0"])
  }

  @Test("without a length end with the connection") func untilEnd() throws {
    var reader = RuntimeReplyReader(bodyLimit: 10)
    #expect(try reader.add(Array("HTTP/1.1 200 OK\r\n\r\nhel".utf8)) == nil)
    #expect(try reader.add(Array("lo".utf8)) == nil)
    let reply = try reader.end()
    #expect(reply.body == Array("hello".utf8) && !reply.isKeptAlive)
  }

  @Test(
    "that no correct server writes are failures",
    arguments: [
      "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n",
      "HTTP/1.1 200OK\r\n\r\n",
      "HTTP/1.1 020 OK\r\n\r\n", "hello\r\n\r\n", "\r\n\r\n", "HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
      "HTTP/1.1 200 OK\r\nName : x\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
      "HTTP/1.1 200 OK\r\nA: b\u{0}\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFF\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nok",
    ])
  func malformed(_ wire: String) {
    #expect(throws: RuntimeFailure.self) { try read([Array(wire.utf8)[...]]) }
  }

  @Test("have limits: head, trailers, body") func limits() throws {
    let head = "HTTP/1.1 200 OK\r\n"
    #expect(throws: RuntimeFailure.self) {
      try read([Array((head + "A: " + String(repeating: "x", count: 65_600)).utf8)[...]])
    }
    #expect(throws: RuntimeFailure.self) {
      try read([Array((head + String(repeating: "A: b\r\n", count: 11_000)).utf8)[...]])
    }
    let chunked = head + "Transfer-Encoding: chunked\r\n\r\n"
    #expect(throws: RuntimeFailure.self) {
      try read([Array((chunked + "0\r\n" + String(repeating: "A: b\r\n", count: 20_000)).utf8)[...]])
    }
    let exact = String(repeating: "x", count: 1000)
    #expect(try read([Array((head + "Content-Length: 1000\r\n\r\n" + exact).utf8)[...]])?.body.count == 1000)
    #expect(try read([Array((chunked + "3e8\r\n" + exact + "\r\n0\r\n\r\n").utf8)[...]])?.body.count == 1000)
    #expect(throws: RuntimeFailure.self) { try read([Array((head + "Content-Length: 1001\r\n\r\n").utf8)[...]]) }
    #expect(throws: RuntimeFailure.self) { try read([Array((chunked + "3e9\r\n").utf8)[...]]) }
    #expect(throws: RuntimeFailure.self) {
      try read([Array((chunked + "3e8\r\n" + exact + "\r\n1\r\n").utf8)[...]])
    }
    #expect(throws: RuntimeFailure.self) { try read([Array((head + "\r\n" + exact + "x").utf8)[...]]) }
  }

  @Test("come from an address that is a host and a port") func address() {
    #expect(RuntimeAddress("127.0.0.1:9001")?.port == 9001)
    #expect(RuntimeAddress("sandbox.localdomain:80")?.host == "sandbox.localdomain")
    for text in ["", ":9001", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "h:+1", "a:b:1", "a/b:1"] {
      #expect(RuntimeAddress(text) == nil)
    }
  }
}

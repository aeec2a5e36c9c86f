import Glibc
import Host
import Testing
import Wire

/// Tests of what a client may send over HTTP, and of the replies.
@Suite struct HTTPTests {
  private static let hello = Script(
    "hello", ("GET", "/hello"), ("POST", "/hello"),
    run: #"cat > /dev/null; echo '{"statusCode":200,"headers":{"content-type":"text/plain"},"body":"hello"}'"#)

  @Test func routes() async throws {
    let gateway = try await RunningGateway.start([Self.hello])
    #expect(await gateway.ask("GET", "/hello").body == "hello")
    let head = await gateway.ask("HEAD", "/hello")
    #expect(head.status == 200 && head["content-length"] == "5" && head.body.isEmpty)
    let missing = await gateway.ask("GET", "/helo/Secret-In-A-Path")
    #expect(missing.status == 404 && missing["content-type"] == "application/problem+json")
    #expect(missing["x-request-id"] == (try JSON(reading: missing.body)["requestId"]?.string))
    let other = await gateway.ask("DELETE", "/hello")
    #expect(other.status == 405 && other["allow"] == "GET, HEAD, OPTIONS, POST")
    let options = await gateway.ask("OPTIONS", "/hello")
    #expect(options.status == 204 && options["allow"] == "GET, HEAD, OPTIONS, POST" && options["content-length"] == nil)
    let badID = await gateway.ask("GET", "/hello", ["X-Request-Id: a b"])
    #expect(badID["x-request-id"].flatMap { UUIDText($0) } != nil)
    #expect(await gateway.logged("DELETE - 405"))
    #expect(gateway.lines.contains { $0.hasPrefix("[INFO] GET - 404") && $0.contains(" path=/helo/…") })
    #expect(!gateway.lines.contains { $0.contains("Secret-In-A-Path") })
    #expect(try await gateway.stop() == .exited(0))
    #expect(await gateway.logged("[INFO] Gateway stopped"))
  }

  @Test func rejectsMalformedRequests() async throws {
    let gateway = try await RunningGateway.start([Self.hello])
    let host = "Host: a\r\n"
    let json = "Content-Type: application/json\r\n"
    let cases: [(String, Int)] = [
      ("GET /hello HTTP/1.1\r\n\r\n", 400), ("GET /hello HTTP/1.1\r\n\(host)\(host)\r\n", 400),
      ("GET /hello HTTP/1.1\r\nHost: a@b\r\n\r\n", 400), ("GET /hello HTTP/1.1\r\nHost : a\r\n\r\n", 400),
      ("GET /hello HTTP/1.1\r\n\(host)A\u{0}: b\r\n\r\n", 400),
      ("GET /hello HTTP/1.1\r\n\(host)A: b\r\n c\r\n\r\n", 400),
      ("GET /hello HTTP/1.1\nHost: a\n\n", 400), ("GET /hello HTTP/2.0\r\n\(host)\r\n", 400),
      ("GET /hello HTTP/1.2\r\n\(host)\r\n", 400), ("get /hello HTTP/1.1\r\n\(host)\r\n", 400),
      ("GET /hello%00 HTTP/1.1\r\n\(host)\r\n", 400), ("GET /a%2fhello HTTP/1.1\r\n\(host)\r\n", 400),
      ("GET /../hello HTTP/1.1\r\n\(host)\r\n", 400), ("GET /%2e%2e/hello HTTP/1.1\r\n\(host)\r\n", 400),
      ("GET //hello HTTP/1.1\r\n\(host)Connection: close\r\n\r\n", 404), ("GET * HTTP/1.1\r\n\(host)\r\n", 400),
      ("BREW /hello HTTP/1.1\r\n\(host)\r\n", 405), ("BREW /pot HTTP/1.1\r\n\(host)\r\n", 404),
      ("TRACE /hello HTTP/1.1\r\n\(host)\r\n", 405),
      ("POST /hello HTTP/1.1\r\n\(host)Content-Length: 5\r\n\r\nhello", 415),
      ("POST /hello HTTP/1.1\r\n\(host)\(json)Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", 415),
      (
        "POST /hello HTTP/1.1\r\n\(host)\(json)Idempotency-Key: 1\r\nIdempotency-Key: 1\r\nContent-Length: 2\r\n\r\n{}",
        400
      ),
      ("CONNECT a:80 HTTP/1.1\r\n\(host)\r\n", 400), ("\u{16}\u{3}\u{1}\u{2}\r\n\r\n", 400),
      ("POST /hello HTTP/1.1\r\n\(host)Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
      ("POST /hello HTTP/1.1\r\n\(host)Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
      ("POST /hello HTTP/1.1\r\n\(host)Content-Length: +5\r\n\r\nhello", 400),
      ("POST /hello HTTP/1.1\r\n\(host)Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
      ("POST /hello HTTP/1.1\r\n\(host)\(json)Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", 400),
      ("POST /hello HTTP/1.1\r\n\(host)\(json)Transfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\r\n", 400),
      ("POST /hello HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
      ("POST /hello HTTP/1.1\r\n\(host)Expect: more\r\nContent-Length: 5\r\n\r\nhello", 417),
      ("GET /\(String(repeating: "a", count: 9000)) HTTP/1.1\r\n\(host)\r\n", 414),
      ("GET /\(String(repeating: "a", count: 90_000)) HTTP/1.1\r\n\(host)\r\n", 414),
      ("GET /hello HTTP/1.1\r\n\(host)A: \(String(repeating: "a", count: 16_384))\r\n\r\n", 431),
      ("GET /hello HTTP/1.1\r\n\(host)A: \(String(repeating: "a", count: 90_000))\r\n\r\n", 431),
      ("GET /hello HTTP/1.1\r\n\(host)\(String(repeating: "A: b\r\n", count: 100))\r\n", 431),
      ("GET /hello HTTP/1.1\r\n\(host)\(String(repeating: "A: b\r\n", count: 99))Connection: close\r\n\r\n", 431),
      ("GET /hello HTTP/1.1\r\n\(String(repeating: "A: b\r\n", count: 98))\(host)Connection: close\r\n\r\n", 200),
      ("GET http://a/hello HTTP/1.1\r\n\(host)Connection: close\r\n\r\n", 200),
    ]
    for (text, status) in cases {
      let answer = await gateway.raw(text)
      #expect(answer.status == status, "\(text.prefix(120).debugDescription)")
      if status != 200 {
        #expect(answer["content-type"] == "application/problem+json")
        #expect(answer["connection"] == "close")
      }
    }
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func limitsTheBody() async throws {
    var small = Self.hello
    small.bodyLimit = 1000
    let gateway = try await RunningGateway.start([small, .echo])
    let host = "Host: a\r\nContent-Type: application/json\r\n"
    // The request is rejected before its body is sent, without 100 Continue.
    let announced = await gateway.raw(
      "POST /hello HTTP/1.1\r\n\(host)Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
    #expect(announced.status == 413 && announced["connection"] == "close")
    let chunk = "3e8\r\n\(String(repeating: "b", count: 1000))\r\n"
    let chunked = "POST /hello HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    #expect(await gateway.raw(chunked + chunk + "0\r\n\r\n").status == 200)
    #expect(await gateway.raw(chunked + chunk + "1\r\nb\r\n0\r\n\r\n").status == 413)
    let endless = String(repeating: chunk, count: 3000)
    #expect(await gateway.raw(chunked + endless).status == 413)
    // The gateway's own limit applies if a handler's description has a larger one.
    #expect(await gateway.ask("POST", "/echo/1", body: String(repeating: "b", count: 262_145)).status == 413)
    #expect(await gateway.ask("POST", "/echo/1", body: String(repeating: "b", count: 262_144)).status == 200)

    let client = Client(port: gateway.port)
    client.send("POST /hello HTTP/1.1\r\n\(host)Expect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")
    #expect(await client.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 100 "))
    client.send("hello")
    #expect(await client.receive().hasPrefix("HTTP/1.1 200 "))
    client.end()
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func headAndBodyHaveTimeLimits() async throws {
    let gateway = try await RunningGateway.start([Self.hello])
    let start = ContinuousClock.now
    async let silent = gateway.raw("")
    async let head = gateway.raw("GET /hello HTTP/1.1\r\nHost: a\r\n")
    async let body = gateway.raw(
      "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhel")
    #expect(await silent.status == 0)
    #expect(await head.status == 408)
    #expect(.seconds(9) ... .seconds(14) ~= ContinuousClock.now - start)
    #expect(gateway.children == 0)
    #expect(await body.status == 408)
    #expect(.seconds(14) ... .seconds(25) ~= ContinuousClock.now - start)
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func theTimeLimitsOfHeadAndBodyAreSettings() async throws {
    let gateway = try await RunningGateway.start(
      [Self.hello], ["LEADPIPE_HEADER_MS": "20000", "LEADPIPE_BODY_MS": "25000"])
    let (head, body) = (Client(port: gateway.port), Client(port: gateway.port))
    head.send("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n")
    body.send(
      "POST /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{"
    )
    try await Task.sleep(for: .milliseconds(10_500))
    head.send("\r\n")
    #expect(await head.receive().hasPrefix("HTTP/1.1 200 "))
    try await Task.sleep(for: .milliseconds(5000))
    body.send("}")
    #expect(await body.receive().hasPrefix("HTTP/1.1 200 "))
    for client in [head, body] { client.end() }
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func keepsConnectionsOpenAndRepliesInOrder() async throws {
    let gateway = try await RunningGateway.start([Self.hello, .echo])
    let client = Client(port: gateway.port)
    for _ in 0..<3 {
      client.send("POST /hello HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
      let answer = Answer(await client.receive(until: "hello"))
      #expect(answer.status == 200 && answer["connection"] == nil)
    }
    client.send("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(Answer(await client.receive(until: "requestId")).status == 404)
    client.end()

    let pipelining = Client(port: gateway.port)
    let ids = (1...20).map { "X-Request-Id: no-\($0).end" }
    let requests = ids.map {
      "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\($0)\r\nContent-Length: 2\r\n\r\n{}"
    }
    pipelining.send(requests.joined())
    let replies = await pipelining.receive(until: "hello", times: 20)
    let order = replies.split(separator: "\r\n").filter { $0.hasPrefix("x-request-id") }
    #expect(order == (1...20).map { "x-request-id: no-\($0).end" })
    pipelining.end()

    let old = await gateway.raw("GET /hello HTTP/1.0\r\n\r\n")
    #expect(old.status == 200 && old["connection"] == "close" && old.body == "hello")
    let keeping = Client(port: gateway.port)
    keeping.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    #expect(Answer(await keeping.receive(until: "hello"))["connection"] == "keep-alive")
    keeping.end()
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func repliesToAClientThatHasClosedItsOutput() async throws {
    let gateway = try await RunningGateway.start([Script("slow", run: "sleep 0.3; echo '{\"statusCode\":200}'")])
    let start = ContinuousClock.now
    let client = Client(port: gateway.port)
    client.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
    client.closeOutput()
    #expect(Answer(await client.receive()).status == 200)
    #expect(ContinuousClock.now - start < .seconds(8))
    client.end()
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func aClientThatDisconnectsLeavesNoProcessAndNoDescriptor() async throws {
    let gateway = try await RunningGateway.start([
      Script("slow", run: "cat > /dev/null; sleep 0.3; echo '{}'"), Self.hello,
    ])
    let before = gateway.descriptors
    for _ in 0..<5 {
      let client = Client(port: gateway.port)
      client.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
      client.end()
      let half = Client(port: gateway.port)
      half.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{")
      half.end()
    }
    #expect(await gateway.ask("GET", "/hello").status == 200)
    #expect(await eventually { gateway.descriptors <= before && gateway.children == 0 })
    #expect(try await gateway.stop() == .exited(0))
  }
}

import Contract
import Glibc
import Host
import NIOCore
import Testing

@testable import gateway

/// Tests of replies whose body follows, with handlers that do right and wrong.
@Suite struct FollowingBodyTests {
  private static let head = #"echo '{"statusCode":200,"headers":{"content-type":"text/plain"},"bodyFollows":true}'"#

  private static func following(_ name: String, _ lines: String, timeLimitMs: Int = 5000) -> Script {
    var script = Script(name, ("GET", "/" + name), timeLimitMs: timeLimitMs, run: "cat > /dev/null; " + lines)
    script.bodyFollows = true
    return script
  }

  private static func request(_ path: String, version: String = "1.1") -> String {
    "GET \(path) HTTP/\(version)\r\nHost: localhost\r\nConnection: close\r\n\r\n"
  }

  /// The decoded body; nil if its last chunk is missing.
  private func decoded(_ body: String) -> String? {
    var rest = Array(body.utf8)[...]
    var text: [UInt8] = []
    while let end = rest.firstIndex(of: 0x0D), let size = Int(String(decoding: rest[..<end], as: UTF8.self), radix: 16)
    {
      if size == 0 { return String(decoding: text, as: UTF8.self) }
      guard end + 2 + size + 2 <= rest.endIndex else { return nil }
      text += rest[(end + 2)..<(end + 2 + size)]
      rest = rest[(end + 2 + size + 2)...]
    }
    return nil
  }

  @Test func passesOnWhatFollows() async throws {
    let gateway = try await RunningGateway.start([
      Self.following("whole", Self.head + "; echo one; sleep 0.3; echo two"),
      Self.following("at-once", #"printf '{"statusCode":200,"bodyFollows":true}\none\n'"#),
      Self.following("nothing", Self.head),
      Self.following("plain", #"echo '{"statusCode":404,"body":"none"}'"#),
      Self.following("large", Self.head + "; head -c 20000000 /dev/zero | tr '\\0' x"),
    ])
    let whole = await gateway.ask("GET", "/whole")
    #expect(whole.status == 200 && whole["transfer-encoding"] == "chunked" && whole["content-length"] == nil)
    #expect(decoded(whole.body) == "one\ntwo\n")
    #expect(decoded(await gateway.ask("GET", "/at-once").body) == "one\n")
    #expect(decoded(await gateway.ask("GET", "/nothing").body)?.isEmpty == true)
    let plain = await gateway.ask("GET", "/plain")
    #expect(plain.status == 404 && plain.body == "none" && plain["content-length"] == "4")
    #expect(decoded(await gateway.ask("GET", "/large").body)?.utf8.count == 20_000_000)
    let old = await gateway.ask("GET", "/whole", version: "1.0")
    #expect(old.body == "one\ntwo\n" && old["transfer-encoding"] == nil && old["connection"] == "close")
    let head = await gateway.ask("HEAD", "/whole")
    #expect(head.status == 200 && head.body.isEmpty)
    #expect(await gateway.logged("GET /large 200"))
    #expect(await eventually { gateway.children == 0 })
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func keepsTheConnection() async throws {
    let gateway = try await RunningGateway.start([Self.following("whole", Self.head + "; echo one")])
    let client = Client(port: gateway.port)
    defer { client.end() }
    for number in 1...3 {
      client.send("GET /whole HTTP/1.1\r\nHost: localhost\r\n\r\n")
      #expect(await client.receive(until: "0\r\n\r\n").hasSuffix("4\r\none\n\r\n0\r\n\r\n"), "\(number)")
    }
    #expect(try await gateway.stop() == .exited(0))
  }

  private static let operations = ["LEADPIPE_OPERATIONS": "127.0.0.1:0"]
  private static let crash = "the handler ended before its end"

  @Test(arguments: [
    ("exit 3", Self.crash + " (exit status 3)", 1, 0), ("kill -9 $$", Self.crash + " (signal 9)", 1, 0),
    ("kill -9 $PPID 2>/dev/null; exit 1", Self.crash + " (exit status 1)", 1, 0),
    ("sleep 60801", "the handler took longer than its time limit and was ended", 0, 1),
  ])
  func aBodyThatIsNotWholeBreaksTheConnection(end: String, reason: String, crashes: Int, kills: Int) async throws {
    let gateway = try await RunningGateway.start(
      [Self.following("torn", Self.head + "; echo one; sleep 0.2; \(end)", timeLimitMs: 1500)], Self.operations)
    let torn = await gateway.raw(Self.request("/torn"))
    #expect(torn.status == 200 && decoded(torn.body) == nil)
    #expect(await gateway.logged("[WARN] The body of the reply was cut off: \(reason)"))
    #expect(await gateway.logged("[INFO] GET /torn 200"))
    #expect(await eventually { gateway.children == 0 })
    #expect(await areGone("sleep\u{0}60801"))
    let metrics = await gateway.metrics()
    #expect(metrics.contains(#"leadpipe_process_crashes_total{handler="torn"} \#(crashes)"#))
    #expect(metrics.contains(#"leadpipe_process_kills_total{handler="torn"} \#(kills)"#))
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func refusesABodyThatWasNotAnnounced() async throws {
    let gateway = try await RunningGateway.start([
      Script("quiet", ("GET", "/quiet"), run: "cat > /dev/null; " + #"echo '{"statusCode":200,"bodyFollows":true}'"#),
      Self.following("both", #"echo '{"statusCode":200,"bodyFollows":true,"body":"x"}'"#),
      Self.following("silent", "exit 0"),
      Self.following("endless", "yes | tr -d '\\n'"),
    ])
    for path in ["/quiet", "/both", "/silent", "/endless"] {
      #expect(await gateway.ask("GET", path).status == 502, "\(path)")
    }
    #expect(await eventually { gateway.children == 0 })
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func aClientThatLeavesEndsTheHandler() async throws {
    let gateway = try await RunningGateway.start(
      [
        Self.following("slow", Self.head + "; echo one; sleep 60802", timeLimitMs: 60_000),
        Self.following("late", "sleep 60803; " + Self.head, timeLimitMs: 60_000),
        Self.following("flood", Self.head + "; yes", timeLimitMs: 60_000),
      ], Self.operations)
    for path in ["/slow", "/late", "/flood"] {
      let client = Client(port: gateway.port)
      client.send(Self.request(path))
      if path != "/late" { _ = await client.receive(until: "\r\n\r\n") }
      #expect(await eventually { gateway.children == 1 }, "\(path)")
      client.end()
      #expect(await eventually { gateway.children == 0 }, "\(path)")
    }
    #expect(await gateway.logged("[WARN] The body of the reply was cut off: the client left or did not read"))
    // Nobody has read this status: the handler and the gateway are not to blame.
    #expect(await gateway.logged("[INFO] GET /late 499"))
    #expect(await gateway.logged("[INFO] 499: the client left before the reply, and the handler was ended"))
    let metrics = await gateway.metrics()
    #expect(metrics.contains(#"leadpipe_requests_total{route="/late",method="GET",status="4xx"} 1"#))
    for name in ["slow", "late", "flood"] {
      #expect(metrics.contains(#"leadpipe_process_crashes_total{handler="\#(name)"} 0"#), "\(name)")
      #expect(metrics.contains(#"leadpipe_process_kills_total{handler="\#(name)"} 0"#), "\(name)")
    }
    #expect(metrics.contains(#"leadpipe_requests_total{route="/late",method="GET",status="5xx"} 0"#))
    #expect(!metrics.contains(#/status="5xx"} [1-9]/#))
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func fewRunAtTheSameTime() async throws {
    let gateway = try await RunningGateway.start([
      Self.following("slow", Self.head + "; echo one; sleep 60804", timeLimitMs: 60_000),
      Script("hello", ("GET", "/hello"), run: #"cat > /dev/null; echo '{"statusCode":200,"body":"hello"}'"#),
    ])
    let clients = (1...4).map { _ in Client(port: gateway.port) }
    for client in clients { client.send(Self.request("/slow")) }
    for client in clients { #expect(await client.receive(until: "one").contains("200 OK")) }
    #expect(await gateway.ask("GET", "/slow").status == 503)
    #expect(await gateway.ask("GET", "/hello").body == "hello")
    for client in clients { client.end() }
    #expect(await eventually { gateway.children == 0 })
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func leavesNoDescriptors() async throws {
    let gateway = try await RunningGateway.start([Self.following("whole", Self.head + "; echo one")])
    #expect(await gateway.ask("GET", "/whole").status == 200)
    #expect(await eventually { gateway.children == 0 })
    let before = gateway.descriptors
    for _ in 1...10 { #expect(await gateway.ask("GET", "/whole").status == 200) }
    #expect(await eventually { gateway.descriptors <= before })
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func connectionsThatWaitForARequestKeepNoDescriptorsOfABody() async throws {
    let gateway = try await RunningGateway.start([
      Self.following("plain", #"echo '{"statusCode":403,"body":"none"}'"#)
    ])
    #expect(await gateway.ask("GET", "/plain").status == 403)
    #expect(await eventually { gateway.children == 0 })
    let before = gateway.descriptors
    let clients = (1...8).map { _ in Client(port: gateway.port) }
    defer { for client in clients { client.end() } }
    for client in clients {
      client.send("GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n")
      #expect(await client.receive(until: "none").contains(" 403 "))
    }
    #expect(await eventually { gateway.descriptors <= before + clients.count })
    // All of them are still open. The connection of the first request may have been closed after it was counted.
    #expect(gateway.descriptors >= before + clients.count - 1)
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func aPauseOfTheHandlerDoesNotCountAgainstTheClient() throws {
    let stream = try #require(BodyStream())
    let head = Reply(status: 200, headers: [:], body: [])
    let reply = FollowedReply(stream, GatewayReply(reply: head), .unreadable)
    let limit = TimeAmount.seconds(30)
    let start = NIODeadline.now()
    func isStalled(_ seconds: Int64, hasRead: Bool = false, isHigh: Bool = false) -> Bool {
      reply.isStalled(hasRead: hasRead, isHigh: isHigh, limit: limit, at: start + .seconds(seconds))
    }
    reply.begin(at: start)
    reply.took(10, at: start)
    #expect(!isStalled(99) && !isStalled(99, isHigh: true), "no piece waits")
    reply.begin(at: start + .seconds(100))
    #expect(!isStalled(101) && !isStalled(129))
    #expect(isStalled(101, isHigh: true))
    #expect(!isStalled(129, hasRead: true, isHigh: true) && !isStalled(158))
    #expect(isStalled(159))
    #expect(reply.sent == 10)
  }
}

extension RunningGateway {
  /// The metrics page. The gateway needs LEADPIPE_OPERATIONS.
  fileprivate func metrics() async -> String {
    #expect(await logged("Operations listening"))
    let line = lines.last { $0.contains("Operations listening") } ?? ""
    let client = Client(port: line.split(separator: ":").last.flatMap { Int($0) } ?? 0)
    defer { client.end() }
    client.send("GET /-/metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return await client.receive()
  }
}

import Glibc
import Host
import Testing

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

  @Test(arguments: ["exit 3", "kill -9 $$", "sleep 60801", "kill -9 $PPID 2>/dev/null; exit 1"])
  func aBodyThatIsNotWholeBreaksTheConnection(end: String) async throws {
    let gateway = try await RunningGateway.start([
      Self.following("torn", Self.head + "; echo one; sleep 0.2; \(end)", timeLimitMs: 1500)
    ])
    let torn = await gateway.raw(Self.request("/torn"))
    #expect(torn.status == 200 && decoded(torn.body) == nil)
    #expect(await gateway.logged("[WARN] The body of the reply was cut off"))
    #expect(await gateway.logged("[INFO] GET /torn 200"))
    #expect(await eventually { gateway.children == 0 })
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
    let gateway = try await RunningGateway.start([
      Self.following("slow", Self.head + "; echo one; sleep 60802", timeLimitMs: 60_000),
      Self.following("late", "sleep 60803; " + Self.head, timeLimitMs: 60_000),
      Self.following("flood", Self.head + "; yes", timeLimitMs: 60_000),
    ])
    for path in ["/slow", "/late", "/flood"] {
      let client = Client(port: gateway.port)
      client.send(Self.request(path))
      if path != "/late" { _ = await client.receive(until: "\r\n\r\n") }
      #expect(await eventually { gateway.children == 1 }, "\(path)")
      client.end()
      #expect(await eventually { gateway.children == 0 }, "\(path)")
    }
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
}

import Contract
import Glibc
import Host
import Testing
import Wire

@testable import gateway

/// Tests of the settings that limit clients and handlers, with values below and above their defaults.
@Suite(.serialized) struct SettingsTests {
  private static let hello = Script(
    "hello", ("GET", "/hello"), ("POST", "/hello"), run: #"cat > /dev/null; echo '{"statusCode":200,"body":"hello"}'"#)

  /// A request whose request line and headers have these lengths, with their line ends.
  private func head(line: Int, fields: Int) -> String {
    let plain = "GET /hello? HTTP/1.1\r\n"
    let own = "Host: a\r\nConnection: close\r\n"
    var text = "GET /hello?\(String(repeating: "q", count: line - plain.utf8.count)) HTTP/1.1\r\n" + own
    var left = fields - own.utf8.count
    while left > 0 {
      let count = left > 8000 ? 4000 : left
      text += "X: \(String(repeating: "a", count: count - 5))\r\n"
      left -= count
    }
    return text + "\r\n"
  }

  @Test(arguments: [(300, 1024), (32_768, 1024), (256, 65_536), (32_768, 65_536)])
  func requestLineAndHeaders(line: Int, fields: Int) async throws {
    let gateway = try await RunningGateway.start(
      [Self.hello], ["LEADPIPE_REQUEST_LINE": String(line), "LEADPIPE_HEADERS": String(fields)])
    #expect(await gateway.raw(head(line: line, fields: fields)).status == 200)
    let long = await gateway.raw(head(line: line + 1, fields: 100))
    #expect(long.status == 414 && long.body.contains("the request line is longer than \(line) bytes"))
    let large = await gateway.raw(head(line: 100, fields: fields + 1))
    #expect(large.status == 431 && large.body.contains("100 fields or \(fields) bytes"))
    #expect(try await gateway.stop() == .exited(0))
  }

  private static let beginning = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
  private static let body =
    "POST /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{"

  @Test func headAndBodyTime() async throws {
    let gateway = try await RunningGateway.start(
      [Self.hello], ["LEADPIPE_HEADER_MS": "300", "LEADPIPE_BODY_MS": "1500"])
    let start = ContinuousClock.now
    async let head = gateway.raw(Self.beginning)
    async let body = gateway.raw(Self.body)
    #expect(await head.status == 408)
    #expect(.milliseconds(290) ... .seconds(9) ~= ContinuousClock.now - start)
    #expect(await body.status == 408)
    #expect(.milliseconds(1490) ... .seconds(14) ~= ContinuousClock.now - start)
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test(arguments: [(2000, 2000), (600_000, 300_000)])
  func bodyLimit(setting: Int, limit: Int) async throws {
    let gateway = try await RunningGateway.start([Self.hello], ["LEADPIPE_BODY": String(setting)])
    #expect(await gateway.ask("POST", "/hello", body: String(repeating: "b", count: limit)).status == 200)
    let large = await gateway.ask("POST", "/hello", body: String(repeating: "b", count: limit + 1))
    #expect(large.status == 413 && large.body.contains("larger than \(limit) bytes"))
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test(arguments: ["oneshot", "stream"])
  func handlerTime(mode: String) async throws {
    let sleeper = Script("sleeper", timeLimitMs: 60_000, run: "exec sleep 60851")
    let gateway = try await RunningGateway.start(
      [sleeper, .echo], ["LEADPIPE_PROCESS": "sleeper=\(mode)", "LEADPIPE_HANDLER_MS": "1000"])
    let start = ContinuousClock.now
    #expect(await gateway.ask("POST", "/sleeper", body: "").status == 504)
    #expect(.milliseconds(990) ... .seconds(8) ~= ContinuousClock.now - start)
    let envelope = try JSON(reading: await gateway.ask("GET", "/echo").body)
    let deadline = try #require(envelope["requestContext"]?["x"]?["deadlineMs"]?.integer)
    #expect(deadline - Instant.now.milliseconds <= 900, "the handler gets the shorter deadline")
    #expect(try await gateway.stop() == .exited(0))
  }

  /// A handler whose reply has a body of `count` bytes.
  private static func large(_ count: Int, in mode: String) -> Script {
    let body = #"head -c \#(count) /dev/zero | tr '\0' a; printf '"}\n'"#
    return mode == "stream"
      ? .streaming("large", for: #"printf '{"requestId":"%s","statusCode":200,"body":"' "$id"; "# + body)
      : Script("large", run: #"cat > /dev/null; printf '{"statusCode":200,"body":"'; "# + body)
  }

  @Test(arguments: ["oneshot", "stream"])
  func reply(mode: String) async throws {
    for (setting, count, status) in [(2048, 1500, 200), (2048, 2049, 502), (2_000_000, 1_200_000, 200)] {
      let gateway = try await RunningGateway.start(
        [Self.large(count, in: mode)], ["LEADPIPE_PROCESS": mode, "LEADPIPE_REPLY": String(setting)])
      let answer = await gateway.ask("POST", "/large", body: "")
      #expect(answer.status == status && (status != 200 || answer.body.utf8.count == count))
      if status == 502 { #expect(await gateway.logged("502: the reply is larger than 2048 bytes")) }
      #expect(try await gateway.stop() == .exited(0))
    }
  }

  @Test(arguments: ["oneshot", "stream"], [0, 6000, 200_000])
  func stderr(mode: String, setting: Int) async throws {
    // Few long lines, because the tests read the whole log many times.
    let noise = #"line=$(head -c 999 /dev/zero | tr '\0' n); yes $line | head -n 150 >&2; "#
    let script: Script =
      mode == "stream"
      // The gateway must have read its stderr before it replies.
      ? .streaming("noisy", for: noise + "sleep 0.3; " + Script.reply(#""statusCode":200"#))
      : Script("noisy", run: "cat > /dev/null; " + noise + #"echo '{"statusCode":200}'"#)
    let gateway = try await RunningGateway.start(
      [script], ["LEADPIPE_PROCESS": mode, "LEADPIPE_STDERR": String(setting)])
    #expect(await gateway.ask("POST", "/noisy", body: "").status == 200)
    #expect(await gateway.logged("POST /noisy 200"))
    #expect(gateway.lines.count { $0.hasPrefix("noisy: nnn") } == min(150, setting / 1000))
    #expect(gateway.lines.count { $0.contains("log was cut at \(setting) bytes") } == (setting < 150_000 ? 1 : 0))
    #expect(try await gateway.stop() == .exited(0))
  }

  /// After TERM, it takes longer than the default grace time and then writes a line.
  private static let slowCleanup = Script(
    "slow-cleanup", timeLimitMs: 300, run: "trap 'sleep 2.2; echo cleaned >&2; exit' TERM; while :; do sleep 0.1; done")
  /// After TERM, it takes less than the default grace time and then writes a line.
  private static let quickCleanup = Script(
    "quick-cleanup", timeLimitMs: 300, run: "trap 'sleep 1; echo cleaned >&2; exit' TERM; while :; do sleep 0.1; done")

  @Test(arguments: ["oneshot", "stream"]) func graceTime(mode: String) async throws {
    for (script, grace) in [(Self.quickCleanup, 0), (Self.slowCleanup, 5000)] {
      let gateway = try await RunningGateway.start(
        [script], ["LEADPIPE_PROCESS": mode, "LEADPIPE_GRACE_MS": String(grace)])
      #expect(await gateway.ask("POST", "/" + script.name, body: "").status == 504)
      #expect(await eventually { gateway.children == 0 })
      #expect(gateway.lines.contains("\(script.name): cleaned") == (grace > 0))
      #expect(try await gateway.stop() == .exited(0))
    }
  }

  @Test func namesEveryInvalidValue() async throws {
    let wrong = [
      "LEADPIPE_REQUEST_LINE": "255", "LEADPIPE_HEADERS": "65537", "LEADPIPE_HEADER_MS": "10s",
      "LEADPIPE_BODY_MS": "-1", "LEADPIPE_WRITE_MS": "99",
      "LEADPIPE_BODY": "256K", "LEADPIPE_HANDLER_MS": "0", "LEADPIPE_REPLY": "1e6",
      "LEADPIPE_STDERR": "16777217", "LEADPIPE_GRACE_MS": "5001",
    ]
    #expect(Set(wrong.keys) == Set(Budgets.settings.map(\.name)))
    let (end, text) = try await refusedStart(wrong)
    #expect(end == .exited(78))
    for name in wrong.keys {
      #expect(text.split(separator: "\n").count { $0.contains("[ERROR] \(name) must be a whole number from ") } == 1)
    }
  }

  @Test func defaultsApplyWithoutSettings() throws {
    let settings = try GatewaySettings([:])
    #expect(settings.budgets == Budgets())
    let document = settings.document
    #expect(document["requestLine"] == 8192 && document["headers"] == 16_384 && document["body"] == 262_144)
    #expect(document["headerMs"] == 10_000 && document["bodyMs"] == 15_000 && document["graceMs"] == 2000)
    #expect(document["writeMs"] == 30_000)
    #expect(document["reply"] == 1_048_576 && document["stderr"] == 65_536 && document["handlerMs"] == .null)
  }
}

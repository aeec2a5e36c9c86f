import Glibc
import Host
import Testing
import Wire

/// Tests of processes that serve one request each, with faulty handlers too: every request ends in time, and nothing is
/// left behind.
@Suite struct OneShotProcessTests {
  @Test func aHandlerGetsTheEnvelope() async throws {
    let gateway = try await RunningGateway.start([.echo])
    let headers = ["X-Request-Id: abc-1", "X-A: 1", "x-a: 2", "Proxy: p", "X_A: 3", "User-Agent: t"]
    let answer = await gateway.ask("POST", "/echo/a%20b?x=1&x=%C3%A4", headers, body: #"{"a":1}"#)
    #expect(answer.status == 200)
    #expect(answer["x-request-id"] == "abc-1")
    #expect(answer.headers.filter { $0.name == "set-cookie" }.map(\.value) == ["a=1", "b=2"])
    let envelope = try JSON(reading: answer.body)
    #expect(envelope["routeKey"] == "POST /echo/{id}")
    #expect(envelope["pathParameters"]?["id"] == "a b")
    #expect(envelope["queryStringParameters"]?["x"] == "1,ä")
    #expect(envelope["body"] == #"{"a":1}"#)
    #expect(envelope["headers"]?["x-a"] == "1,2")
    #expect(envelope["headers"]?["proxy"] == nil)
    #expect(envelope["headers"]?["x_a"] == nil)
    #expect(envelope["headers"]?["connection"] == nil)
    let context = envelope["requestContext"]
    #expect(context?["http"]?["sourceIp"] == "127.0.0.1")
    #expect(context?["requestId"] == "abc-1")
    let deadline = try #require(context?["x"]?["deadlineMs"]?.integer)
    #expect(1...5000 ~= deadline - Instant.now.milliseconds)
    #expect(await gateway.logged("[INFO] POST /echo/{id} 200 requestId=abc-1 handler=echo queueMs="))
    #expect(!gateway.lines.contains { $0.contains("a%20b") })
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test(arguments: [
    (Script("crash", run: "kill -SEGV $$"), 502, "signal 11"),
    (Script("silent", run: "exit 70"), 502, "it wrote no reply (exit status 70)"),
    (Script("half", run: #"printf '{"statusCode":200,"bo'"#), 502, "the reply is not a JSON document"),
    (Script("bad-header", run: #"printf '%s' '{"statusCode":200,"headers":{"x":"a\r\nb: c"}}'"#), 502, "header"),
    (Script("bad-status", run: #"echo '{"statusCode":100}'"#), 502, "statusCode"),
    (Script("flood", run: "exec cat /dev/zero"), 502, "larger than 1048576 bytes"),
    (Script("sleeper", timeLimitMs: 300, run: "exec sleep 60871"), 504, "longer than its time limit"),
    (
      Script("ignores-term", timeLimitMs: 300, run: "trap '' TERM; sleep 60872 & while :; do sleep 1; done"), 504,
      "time limit"
    ),
    (Script("closed-out", run: "exec >&-; exec sleep 60873"), 502, "it wrote no reply"),
  ])
  func aFaultyHandlerIsLoggedOnceAndLeavesNoProcess(script: Script, status: Int, reason: String) async throws {
    let gateway = try await RunningGateway.start([script])
    let before = gateway.descriptors
    let body = String(repeating: "b", count: 200_000)
    let answer = await gateway.ask("POST", "/" + script.name, ["X-Request-Id: r-1"], body: body)
    #expect(answer.status == status)
    #expect(answer["content-type"] == "application/problem+json")
    #expect(answer["x-request-id"] == "r-1")
    #expect(try JSON(reading: answer.body)["requestId"] == "r-1")
    #expect(await gateway.logged("POST /\(script.name) \(status)"))
    let errors = gateway.lines.filter { $0.hasPrefix("[ERROR]") }
    #expect(errors.count == 1)
    #expect(errors.first?.contains(reason) == true, "\(errors)")
    #expect(gateway.children == 0)
    #expect(await areGone(script.sleepCommand))
    #expect(await eventually { gateway.descriptors <= before })
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test(arguments: [
    Script("reads-nothing", run: #"echo '{"statusCode":201}'"#),
    Script("closes-stdin", run: #"exec <&-; sleep 0.1; echo '{"statusCode":201}'"#),
    Script("replies-early", run: #"echo '{"statusCode":201}'; cat > /dev/null"#),
    Script("holds-stdout", run: #"sleep 60881 & cat > /dev/null; echo '{"statusCode":201}'"#),
    Script("lingers", run: #"cat > /dev/null; echo '{"statusCode":201}'; exec >&- 2>&-; exec sleep 60882"#),
    Script("large", run: #"cat > /dev/null; head -c 1000000 /dev/zero | tr '\0' ' '; echo '{"statusCode":201}'"#),
    Script("status-3", run: #"cat > /dev/null; echo '{"statusCode":201}'; exit 3"#),
  ])
  func aReplyIsSentWhateverElseTheProcessDoes(script: Script) async throws {
    let gateway = try await RunningGateway.start([script])
    let start = ContinuousClock.now
    let answer = await gateway.ask("POST", "/" + script.name, body: String(repeating: "b", count: 250_000))
    #expect(answer.status == 201)
    #expect(ContinuousClock.now - start < .seconds(8))
    #expect(gateway.children == 0)
    #expect(await areGone(script.sleepCommand))
    #expect(!gateway.lines.contains { $0.hasPrefix("[ERROR]") })
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func stderrIsLoggedUpTo64KiB() async throws {
    let noisy = #"cat > /dev/null; (echo first line; yes noise | head -c 3000000) >&2; echo '{"statusCode":200}'"#
    let gateway = try await RunningGateway.start([Script("noisy", run: noisy)], ["LEADPIPE_SLOW_MS": "off"])
    #expect(await gateway.ask("POST", "/noisy", body: "").status == 200)
    #expect(await gateway.logged("POST /noisy 200"))
    #expect(gateway.lines.contains("noisy: first line"))
    #expect(gateway.lines.count { $0 == "noisy: noise" } == (65_536 - 11) / 6)
    let warnings = gateway.lines.filter { $0.hasPrefix("[WARN]") }
    #expect(warnings.count == 1, "\(warnings)")
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func aHandlerGetsTheSettingsOfItsClass() async throws {
    let folder = temporaryFolder()
    defer { #expect(throws: Never.self) { try remove(folder) } }
    let trust = folder + "/trust.json"
    writeFile(trust, #"{"trusted":"intake"}"#, mode: 0o600)
    let show = #"printf '{"statusCode":200,"isBase64Encoded":true,"body":"%s"}' "$(env | base64 -w0)""#
    let gateway = try await RunningGateway.start(
      ["foreign", "trusted"].map { Script($0, environment: ["DATABASE_URL"], run: show) },
      ["DATABASE_URL": "secret", "DATABASE_URL_INTAKE": "own", "ADMIN_API_KEY": "key", "LEADPIPE_TRUST": trust])
    let foreign = await gateway.ask("POST", "/foreign", ["DATABASE-URL: x"], body: "")
    #expect(foreign.status == 200)
    #expect(!foreign.body.contains("secret") && !foreign.body.contains("own"))
    let trusted = await gateway.ask("POST", "/trusted", body: "").body
    #expect(trusted.contains("DATABASE_URL=own"))
    #expect(!trusted.contains("key"))
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func fiftyRequestsAtOnceLeaveNoProcessAndNoDescriptor() async throws {
    let gateway = try await RunningGateway.start([.echo])
    _ = await gateway.ask("GET", "/echo")
    let before = gateway.descriptors
    let statuses = await withTaskGroup(of: (String, Answer).self, returning: [Bool].self) { group in
      for number in 0..<50 {
        group.addTask {
          let id = "n-\(number)"
          return (id, await gateway.ask("POST", "/echo/\(number)", ["X-Request-Id: \(id)"], body: id))
        }
      }
      return await group.reduce(into: []) { results, item in
        let envelope = try? JSON(reading: item.1.body)
        results.append(item.1.status == 200 && item.1["x-request-id"] == item.0 && envelope?["body"]?.string == item.0)
      }
    }
    #expect(statuses.count == 50 && statuses.allSatisfy { $0 })
    #expect(gateway.children == 0)
    // The runtime opens one timer descriptor when a request first waits in the queue, and keeps it.
    #expect(await eventually { gateway.descriptors <= before + 1 })
    #expect(try await gateway.stop() == .exited(0))
  }
}

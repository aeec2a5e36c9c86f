import Contract
import Foundation
import Glibc
import Host
import Testing

@testable import gateway

/// Tests of how the gateway starts, stops and refuses requests under overload.
@Suite struct StartAndStopTests {
  private static let slow = Script("slow", run: "cat > /dev/null; sleep 2; echo '{\"statusCode\":200}'")

  @Test func refusesARequestThatWaitsTooLong() async throws {
    let gateway = try await RunningGateway.start([Self.slow], ["LEADPIPE_CONCURRENCY": "1"])
    async let first = gateway.ask("POST", "/slow", body: "")
    #expect(await eventually { gateway.children == 1 })
    let start = ContinuousClock.now
    let second = await gateway.ask("POST", "/slow", body: "")
    #expect(second.status == 503 && second["retry-after"] == "1")
    #expect(.milliseconds(900) ... .milliseconds(1900) ~= ContinuousClock.now - start)
    #expect(await first.status == 200)
    #expect(await gateway.ask("POST", "/slow", body: "").status == 200)
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func stoppingFinishesRunningRequestsAndAcceptsNoNewOnes() async throws {
    let end = FileManager.default.temporaryDirectory.appendingPathComponent("end-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: end) }
    let gateway = try await RunningGateway.start([
      Script("held", timeLimitMs: 30_000, run: "until [ -e \(end) ]; do sleep 0.05; done; echo '{\"statusCode\":200}'")
    ])
    let idle = Client(port: gateway.port)
    let busy = Client(port: gateway.port)
    busy.send("POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    #expect(await eventually { gateway.children == 1 })
    async let stopped = gateway.stop()
    #expect(await idle.receive().isEmpty)
    // The listener closes on another event loop, perhaps a moment later than the idle connection.
    #expect(await eventually { !Client(port: gateway.port).isConnected })
    #expect(FileManager.default.createFile(atPath: end, contents: nil))
    let answer = Answer(await busy.receive())
    #expect(answer.status == 200 && answer["connection"] == "close")
    #expect(try await stopped == .exited(0))
    #expect(await gateway.logged("[INFO] Gateway stopped"))
    idle.end()
    busy.end()
  }

  @Test func stoppingEndsRequestsThatDoNotFinish() async throws {
    let gateway = try await RunningGateway.start([
      Script("endless", timeLimitMs: 60_000, run: "trap '' TERM; sleep 60891 & while :; do sleep 1; done")
    ])
    let client = Client(port: gateway.port)
    client.send("POST /endless HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    #expect(await eventually { gateway.children > 0 })
    try? await Task.sleep(for: .milliseconds(300))
    let start = ContinuousClock.now
    #expect(try await gateway.stop(by: SIGINT) == .exited(0))
    #expect(await gateway.logged("[WARN] 503: the handler was still running"))
    #expect(.seconds(14) ... .seconds(25) ~= ContinuousClock.now - start)
    #expect(await areGone("sleep\u{0}60891"))
    #expect(await areGone(gateway.folder))
    client.end()
  }

  @Test func namesEveryInvalidSetting() async throws {
    let (end, text) = try await refusedStart([
      "PORT": "+4000", "LEADPIPE_PROCESS": "tepid", "LEADPIPE_TRUST": "/nowhere", "LEADPIPE_LISTEN": "tcp:/x",
      "LEADPIPE_CONCURRENCY": "0", "LOG_LEVEL": "loud",
    ])
    #expect(end == .exited(78))
    for name in ["PORT", "LEADPIPE_PROCESS", "LEADPIPE_TRUST", "LEADPIPE_LISTEN", "LEADPIPE_CONCURRENCY", "LOG_LEVEL"] {
      #expect(text.contains("[ERROR] \(name) "))
    }
  }

  @Test(arguments: ["warm", "stream,pid=warm"])
  func saysThatTheModeWarmWasRemoved(modes: String) async throws {
    let (end, text) = try await refusedStart(["LEADPIPE_PROCESS": modes, "LEADPIPE_WARM_SPARES": "2"])
    #expect(end == .exited(78))
    #expect(text.contains("LEADPIPE_PROCESS must not name the mode warm, which was removed: use stream, or oneshot"))
    #expect(text.contains("LEADPIPE_WARM_SPARES has no effect, because the process mode warm was removed: unset it"))
  }

  @Test func refusesAMissingFolderAndTwoEqualRoutes() async throws {
    let (end, text) = try await refusedStart(["LEADPIPE_HANDLERS": "/nowhere"])
    #expect(end == .exited(78) && text.contains("/nowhere"))
    let folder = temporaryFolder()
    defer { #expect(throws: Never.self) { try remove(folder) } }
    for (name, path) in [("one", "/a/{x}"), ("two", "/a/{y}")] {
      Script(name, ("GET", path), run: "exit").write(to: folder)
    }
    let (duplicate, reason) = try await refusedStart(["LEADPIPE_HANDLERS": folder])
    #expect(duplicate == .exited(78) && reason.contains("the same route"))
  }

  /// The help lists the settings that the gateway reads and those that it passes to handlers with routes.
  @Test func theHelpNamesEverySettingWithItsDefault() {
    let classes = [TrustClass.intake, .admin, .none]
    let given =
      classes.flatMap { Array($0.grants) } + classes.compactMap { $0.database?.setting }
      + classes.compactMap { $0.database?.streamSetting }
    var entries: [String] = []
    for line in GatewayProgram.usage.split(separator: "\n").drop(while: { !$0.hasPrefix("  PORT ") }) {
      guard line.hasPrefix("  ") else { continue }
      let isNew = !line.hasPrefix("   ")
      if isNew { entries.append(String(line)) } else { entries[entries.count - 1] += line }
    }
    let named = entries.compactMap { $0.split(separator: " ").first.map(String.init) }
    // The gateway itself sets the role, and refuses the setting of a removed mode.
    #expect(
      Set(named)
        == Set(GatewaySettings.declared.map(\.name) + given).subtracting(["LEADPIPE_ROLE", "LEADPIPE_WARM_SPARES"]))
    #expect(entries.allSatisfy { $0.hasSuffix(")") }, "\(entries.filter { !$0.hasSuffix(")") })")
  }

  @Test func refusesAnAddressInUse() async throws {
    let gateway = try await RunningGateway.start([.echo])
    let handlers = gateway.folder + "/handlers"
    let (end, text) = try await refusedStart(["PORT": String(gateway.port), "LEADPIPE_HANDLERS": handlers])
    #expect(end == .exited(75))
    #expect(text.split(separator: "\n").count == 1 && text.contains("Address already in use"))
    let path = gateway.folder + "/socket"
    let local = try await RunningGateway.start([.echo], ["LEADPIPE_LISTEN": "unix:" + path])
    #expect(local.lines == ["[INFO] Gateway listening address=unix:\(path)"])
    let (second, reason) = try await refusedStart(["LEADPIPE_LISTEN": "unix:" + path, "LEADPIPE_HANDLERS": handlers])
    #expect(second == .exited(75) && reason.contains("in use"))
    #expect(try await local.stop() == .exited(0))
    #expect(access(path, F_OK) != 0)
    #expect(try await gateway.stop() == .exited(0))
  }
}

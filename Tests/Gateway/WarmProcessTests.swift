import Glibc
import Host
import Testing
import Wire

/// Tests of processes that are started before their requests arrive.
@Suite(.serialized) struct WarmProcessTests {
  /// Replies with the number of its process, and writes a line to a file when it starts.
  private static let pid = Script(
    "pid", run: #"echo $$ >> "${0%/*}/../started"; cat > /dev/null; printf '{"statusCode":200,"body":"%s"}' $$"#)

  private func start(_ script: Script, _ settings: [String: String] = [:]) async throws -> RunningGateway {
    try await RunningGateway.start(
      [script], ["LEADPIPE_PROCESS": "warm"].merging(settings) { $1 }, grantsFolder: true)
  }

  private func started(_ gateway: RunningGateway) -> [String] {
    readFile(gateway.folder + "/started").split(separator: "\n").map(String.init)
  }

  @Test func eachRequestGetsAProcessThatWasStartedBefore() async throws {
    let gateway = try await start(Self.pid)
    var numbers: Set<String> = [await gateway.ask("POST", "/pid", body: "").body]
    for count in 2...5 {
      #expect(await eventually { started(gateway).count == count + 1 })
      let before = started(gateway)
      let number = await gateway.ask("POST", "/pid", body: "").body
      #expect(before.contains(number))
      numbers.insert(number)
    }
    #expect(numbers.count == 5)
    #expect(await eventually { gateway.children == 2 })
    #expect(try await gateway.stop() == .exited(0))
    #expect(!gateway.lines.contains { $0.hasPrefix("[ERROR]") })
  }

  @Test func manyRequestsAtOnceAreServedWithoutSpareProcesses() async throws {
    let gateway = try await start(Self.pid)
    let statuses = await withTaskGroup(of: Int.self) { group in
      for _ in 0..<40 { group.addTask { await gateway.ask("POST", "/pid", body: "").status } }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(statuses == Array(repeating: 200, count: 40))
    #expect(await eventually { gateway.children == 2 })
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test(arguments: [
    (Script("crash", run: "read -r line; kill -SEGV $$"), 502, "signal 11"),
    (Script("silent", run: "read -r line; exit 70"), 502, "it wrote no reply (exit status 70)"),
    (Script("flood", run: "exec cat /dev/zero"), 502, "larger than 1048576 bytes"),
    (Script("sleeper", timeLimitMs: 300, run: "read -r line; exec sleep 60865"), 504, "longer than its time limit"),
    (
      Script("ignores-term", timeLimitMs: 300, run: "trap '' TERM; sleep 60866 & while :; do sleep 1; done"), 504,
      "time limit"
    ),
  ])
  func aFaultyHandlerIsLoggedOncePerRequest(script: Script, status: Int, reason: String) async throws {
    let gateway = try await start(script)
    for count in 1...2 {
      #expect(await gateway.ask("POST", "/" + script.name, body: "x").status == status)
      #expect(await eventually { gateway.lines.count { $0.hasPrefix("[ERROR]") } == count })
      let errors = gateway.lines.filter { $0.hasPrefix("[ERROR]") }
      #expect(errors.count == count && errors.allSatisfy { $0.contains(reason) }, "\(errors)")
      #expect(await eventually { gateway.children == 2 })
    }
    #expect(try await gateway.stop() == .exited(0))
    #expect(await areGone(script.sleepCommand))
  }

  @Test func aSpareProcessThatDiesAffectsNoRequest() async throws {
    let gateway = try await start(
      Script("killable", run: #"[ -e "${0%/*}/../die" ] && exit 3; cat > /dev/null; echo '{"statusCode":200}'"#))
    #expect(await gateway.ask("POST", "/killable", body: "").status == 200)
    #expect(await eventually { gateway.children == 2 })
    // Both processes have started and wait on stdin.
    try? await Task.sleep(for: .milliseconds(500))
    writeFile(gateway.folder + "/die", "", mode: 0o600)
    for _ in 0..<2 { #expect(await gateway.ask("POST", "/killable", body: "").status == 200) }
    try? await Task.sleep(for: .milliseconds(300))
    unlink(gateway.folder + "/die")
    #expect(await gateway.ask("POST", "/killable", body: "").status == 200)
    #expect(!gateway.lines.contains { $0.hasPrefix("[ERROR]") })
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func aReplacedFileIsUsedByLaterRequests() async throws {
    let gateway = try await start(Script("file", run: #"cat > /dev/null; echo '{"statusCode":201}'"#))
    #expect(await gateway.ask("POST", "/file", body: "").status == 201)
    #expect(await eventually { gateway.children == 2 })
    let folder = gateway.folder + "/new"
    mkdir(folder, 0o700)
    Script("file", run: #"cat > /dev/null; echo '{"statusCode":202}'"#).write(to: folder)
    rename(folder + "/file", gateway.folder + "/handlers/file")
    #expect(await gateway.ask("POST", "/file", body: "").status == 202)
    #expect(await eventually { gateway.children == 2 })
    #expect(try await gateway.stop() == .exited(0))
  }
}

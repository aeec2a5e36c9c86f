import Glibc
import Host
import Testing
import Wire

extension Script {
  /// A handler that runs `answer` for each request: its line is `$line`, its id `$id`.
  static func streaming(_ name: String, timeLimitMs: Int = 5000, for answer: String) -> Script {
    Script(
      name, timeLimitMs: timeLimitMs,
      run: #"""
        while read -r line; do
        id=$(printf %s "$line" | sed 's/.*"requestContext":{.*"requestId":"\([^"]*\)".*/\1/')
        \#(answer)
        done
        """#)
  }

  /// A shell line that writes the reply to the request, with these members.
  static func reply(_ members: String) -> String { #"printf '{"requestId":"%s",\#(members)}\n' "$id""# }

  /// Replies with the number of its process.
  static let pid = streaming("pid", for: #"printf '{"requestId":"%s","statusCode":200,"body":"%s"}\n' "$id" $$"#)
  /// Replies with the envelope. A body `die` kills it.
  static let killable = streaming(
    "killable",
    for: #"""
      case $line in *'"body":"die"'*) sleep 0.3; kill -SEGV $$;; esac
      body=$(printf %s "$line" | base64 -w0)
      printf '{"requestId":"%s","statusCode":200,"isBase64Encoded":true,"body":"%s"}\n' "$id" "$body"
      """#)
}

/// Tests of long-lived processes that get several requests at once, with faulty handlers too.
@Suite(.serialized) struct StreamProcessTests {
  private func start(_ script: Script, _ settings: [String: String] = [:]) async throws -> RunningGateway {
    try await RunningGateway.start([script], ["LEADPIPE_PROCESS": "stream"].merging(settings) { $1 })
  }

  private func askConcurrently(_ count: Int, _ gateway: RunningGateway, _ path: String) async -> [(
    body: String, answer: Answer
  )] {
    await withTaskGroup(of: (String, Answer).self) { group in
      for number in 0..<count {
        group.addTask { ("n-\(number)", await gateway.ask("POST", path, body: "n-\(number)")) }
      }
      return await group.reduce(into: []) { $0.append(($1.0, $1.1)) }
    }
  }

  @Test func eachRequestGetsItsOwnReply() async throws {
    let gateway = try await start(.killable)
    for _ in 0..<4 {
      let answers = await askConcurrently(50, gateway, "/killable")
      #expect(answers.allSatisfy { (try? JSON(reading: $0.answer.body))?["body"]?.string == $0.body })
      #expect(gateway.children <= 2)
    }
    #expect(await gateway.logged("POST /killable 200"))
    #expect(!gateway.lines.contains { $0.hasPrefix("[ERROR]") })
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func oneProcessIsEnoughWithoutLoad() async throws {
    let gateway = try await start(.pid)
    var numbers: Set<String> = []
    for _ in 0..<20 { numbers.insert(await gateway.ask("POST", "/pid", body: "").body) }
    #expect(numbers.count == 1 && gateway.children == 1)
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test(arguments: [
    (Script.streaming("crash", for: "kill -SEGV $$"), 502, "signal 11"),
    (Script.streaming("silent", for: "exit 70"), 502, "it wrote no reply (exit status 70)"),
    (Script.streaming("half", for: #"printf '{"statusCode":200,"bo'; exit"#), 502, "the reply is not a JSON document"),
    (Script.streaming("no-json", for: "echo hello"), 502, "the reply is not a JSON document"),
    (Script.streaming("bad-status", for: #"echo '{"statusCode":100}'"#), 502, "statusCode"),
    (Script.streaming("no-request-id", for: #"echo '{"statusCode":200}'"#), 502, "lacks requestId"),
    (Script.streaming("wrong-request-id", for: "id=other; " + Script.reply(#""statusCode":200"#)), 502, "requestId"),
    (Script.streaming("flood", for: "exec cat /dev/zero"), 502, "larger than 1048576 bytes"),
    (Script.streaming("sleeper", timeLimitMs: 300, for: "exec sleep 60874"), 504, "longer than its time limit"),
    (
      Script.streaming("ignores-term", timeLimitMs: 300, for: "trap '' TERM; sleep 60875 & while :; do sleep 1; done"),
      504, "time limit"
    ),
    (Script.streaming("closed-out", for: "exec >&-; exec sleep 60876"), 502, "it wrote no reply"),
    (Script.streaming("closes-stdin", timeLimitMs: 300, for: "exec <&-; exec sleep 60877"), 504, "time limit"),
    (Script("never-reads", timeLimitMs: 300, run: "exec sleep 60878"), 504, "time limit"),
  ])
  func aFaultyProcessIsLoggedOnceAndReplaced(script: Script, status: Int, reason: String) async throws {
    let gateway = try await start(script)
    let before = gateway.descriptors
    let answer = await gateway.ask("POST", "/" + script.name, body: String(repeating: "b", count: 200_000))
    #expect(answer.status == status)
    #expect(await gateway.logged("POST /\(script.name) \(status)"))
    let errors = gateway.lines.filter { $0.hasPrefix("[ERROR]") }
    #expect(errors.count == 1 && errors[0].contains(reason), "\(errors)")
    #expect(await areGone(script.sleepCommand))
    #expect(await eventually { gateway.children == 0 && gateway.descriptors <= before })
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func aSecondReplyToARequestIsDropped() async throws {
    let gateway = try await start(
      .streaming(
        "twice",
        for: Script.reply(#""statusCode":201"#) + "\n" + Script.reply(#""statusCode":202,"body":"not yours""#)))
    #expect(await gateway.ask("POST", "/twice", body: "").status == 201)
    #expect(await eventually { gateway.children == 0 })
    #expect(await gateway.ask("POST", "/twice", body: "").status == 201)
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func aCrashAffectsOnlyTheRequestsInFlight() async throws {
    let gateway = try await start(.killable, ["LEADPIPE_STREAM_WINDOW": "1", "LEADPIPE_STREAM_PROCESSES": "1"])
    #expect(await gateway.ask("POST", "/killable", body: "first").status == 200)
    async let dying = gateway.ask("POST", "/killable", body: "die")
    try? await Task.sleep(for: .milliseconds(100))
    // These wait for a place in the window, so they have not been sent to the process.
    let others = await askConcurrently(5, gateway, "/killable")
    #expect(others.allSatisfy { $0.answer.status == 200 })
    #expect(await dying.status == 502)
    #expect(gateway.lines.count { $0.hasPrefix("[ERROR]") } == 1)
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func pausesStartsAfterProcessesThatCrashAtStart() async throws {
    let gateway = try await start(Script("broken", run: "read -r line; exit 3"))
    var statuses: [Int] = []
    for _ in 0..<20 {
      let answer = await gateway.ask("POST", "/broken", body: "")
      statuses.append(answer.status)
      #expect(answer.status == 502 || answer["retry-after"] == "1")
    }
    #expect(statuses.prefix(2) == [502, 502])
    #expect(statuses.count { $0 == 503 } > 10)
    #expect(gateway.lines.contains { $0.contains("none is started for 200 ms") })
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func processesAreReplacedWithoutLosingARequest() async throws {
    let gateway = try await start(.pid, ["LEADPIPE_STREAM_REQUESTS": "5"])
    var numbers: Set<String> = []
    for _ in 0..<4 {
      let answers = await askConcurrently(30, gateway, "/pid")
      #expect(answers.allSatisfy { $0.answer.status == 200 })
      numbers.formUnion(answers.map(\.answer.body))
    }
    #expect(numbers.count >= 24)
    #expect(!gateway.lines.contains { $0.hasPrefix("[ERROR]") || $0.hasPrefix("[WARN]") })
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func aReplacedFileIsUsedByLaterRequests() async throws {
    let gateway = try await start(.streaming("file", for: Script.reply(#""statusCode":201"#)))
    #expect(await gateway.ask("POST", "/file", body: "").status == 201)
    let folder = gateway.folder + "/new"
    mkdir(folder, 0o700)
    Script.streaming("file", for: Script.reply(#""statusCode":202"#)).write(to: folder)
    rename(folder + "/file", gateway.folder + "/handlers/file")
    try? await Task.sleep(for: .milliseconds(1100))
    #expect(await gateway.ask("POST", "/file", body: "").status == 202)
    #expect(await eventually { gateway.children == 1 })
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func requestsAreRefusedIfTheQueueIsFullOrTheWaitTooLong() async throws {
    let gateway = try await start(
      .streaming("slow", for: "sleep 3\n" + Script.reply(#""statusCode":200"#)),
      ["LEADPIPE_STREAM_WINDOW": "1", "LEADPIPE_STREAM_PROCESSES": "1", "LEADPIPE_STREAM_QUEUE": "1"])
    async let first = gateway.ask("POST", "/slow", body: "")
    try? await Task.sleep(for: .milliseconds(200))
    let start = ContinuousClock.now
    async let second = gateway.ask("POST", "/slow", body: "")
    try? await Task.sleep(for: .milliseconds(100))
    // The queue is full. The refusal is delayed to keep the client from retrying at once.
    let third = await gateway.ask("POST", "/slow", body: "")
    #expect(third.status == 503 && third["retry-after"] == "1" && ContinuousClock.now - start >= .milliseconds(1090))
    #expect(await gateway.logged("503: too many requests wait for this handler"))
    #expect(await second.status == 503)
    #expect(await gateway.logged("503: no process was free within the longest wait"))
    #expect(.milliseconds(900) ... .milliseconds(3000) ~= ContinuousClock.now - start)
    #expect(await first.status == 200)
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func stderrIsLoggedWhileTheProcessRuns() async throws {
    let gateway = try await start(
      .streaming(
        "noisy",
        for: "(echo a line; yes noise | head -c 300000) >&2; sleep 0.2\n" + Script.reply(#""statusCode":200"#)))
    for _ in 0..<2 { #expect(await gateway.ask("POST", "/noisy", body: "").status == 200) }
    #expect(gateway.lines.count { $0 == "noisy: a line" } == 2)
    #expect(gateway.lines.count { $0.hasPrefix("[WARN] A handler's log was cut") } == 2)
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func aProcessThatDoesNotEndIsKilled() async throws {
    let gateway = try await start(
      .streaming(
        "does-not-end",
        for: "trap '' TERM\n" + Script.reply(#""statusCode":200"#) + "\nsleep 60879 & while :; do sleep 1; done"))
    #expect(await gateway.ask("POST", "/does-not-end", body: "").status == 200)
    #expect(try await gateway.stop() == .exited(0))
    #expect(await areGone("sleep\u{0}60879"))
  }

  /// The process gets two requests and replies to the second one first: no client gets the other's reply.
  @Test func repliesInTheWrongOrderAreRefusedAndLogged() async throws {
    let gateway = try await start(
      .streaming(
        "wrong-order",
        for: #"case $first in '') first=$id; continue;; esac"# + "\n"
          + Script.reply(#""statusCode":200,"body":"second""#) + "\nid=$first first=; "
          + Script.reply(#""statusCode":200,"body":"first""#)),
      ["LEADPIPE_STREAM_PROCESSES": "1"])
    let answers = await askConcurrently(2, gateway, "/wrong-order")
    #expect(answers.allSatisfy { $0.answer.status == 502 })
    #expect(gateway.lines.contains { $0.hasPrefix("[ERROR] 502: ") && $0.contains("requestId") })
    #expect(await eventually { gateway.children == 0 })
    #expect(try await gateway.stop() == .exited(0))
  }

  @Test func modesAreChosenByName() async throws {
    let gateway = try await RunningGateway.start([.pid, .echo], ["LEADPIPE_PROCESS": "oneshot,pid=stream"])
    #expect(await gateway.ask("POST", "/pid", body: "").status == 200)
    #expect(await gateway.ask("POST", "/echo/1", body: "").status == 200)
    #expect(gateway.children == 1)
    #expect(try await gateway.stop() == .exited(0))
    let folder = temporaryFolder()
    defer { #expect(throws: Never.self) { try remove(folder) } }
    Script.echo.write(to: folder)
    let (end, text) = try await refusedStart(["LEADPIPE_HANDLERS": folder, "LEADPIPE_PROCESS": "oneshot,absent=stream"])
    #expect(end == .exited(78) && text.contains("absent"))
  }

  @Test func streamModeForAllSkipsHandlersThatCannotStream() async throws {
    var silent = Script("silent", run: #"read -r line; echo '{"statusCode":200}'"#)
    silent.streams = false
    let gateway = try await RunningGateway.start([.pid, silent], ["LEADPIPE_PROCESS": "stream"])
    #expect(await gateway.ask("POST", "/silent", body: "").status == 200)
    #expect(gateway.children == 0)
    #expect(await gateway.ask("POST", "/pid", body: "").status == 200)
    #expect(gateway.children == 1)
    #expect(try await gateway.stop() == .exited(0))
    let namedExplicitly = try await RunningGateway.start([silent], ["LEADPIPE_PROCESS": "silent=stream"])
    #expect(await namedExplicitly.ask("POST", "/silent", body: "").status == 502)
    #expect(namedExplicitly.lines.contains { $0.contains("lacks requestId") })
    #expect(try await namedExplicitly.stop() == .exited(0))
  }
}

import Contract
import Glibc
import Host
import NIOCore
import Testing

@testable import gateway

/// What the operator is told, and when the gateway says less: the decisions, without a listener.
@Suite struct OperationsTests {
  @Test func aHistogramCountsUpToEachBound() {
    var histogram = Histogram()
    for seconds in [0, 0.001, 0.0011, 0.3, 60] { histogram.add(seconds) }
    #expect(histogram.upTo == [2, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4])
    #expect(histogram.count == 5 && abs(histogram.sum - 60.3021) < 1e-9)
    #expect(Histogram.bounds == Histogram.bounds.sorted())
  }

  @Test func theTextIsWhatPrometheusReads() {
    var text = PrometheusText()
    text.begin("a_total", .counter, "As.")
    text.add(3)
    text.add(4, ["x": "1\\2\"3\n4", "y": "{id}"])
    #expect(
      text.text
        == "# HELP a_total As.\n# TYPE a_total counter\na_total 3\na_total{x=\"1\\\\2\\\"3\\n4\",y=\"{id}\"} 4\n")
    var histogram = Histogram()
    histogram.add(0.5)
    text.begin("b_seconds", .histogram, "Bs.")
    text.add(histogram, ["handler": "h"])
    #expect(text.text.contains("b_seconds_bucket{handler=\"h\",le=\"0.25\"} 0\n"))
    #expect(text.text.contains("b_seconds_bucket{handler=\"h\",le=\"0.5\"} 1\n"))
    #expect(text.text.hasSuffix("le=\"+Inf\"} 1\nb_seconds_sum{handler=\"h\"} 0.5\nb_seconds_count{handler=\"h\"} 1\n"))
  }

  @Test(arguments: [
    ("127.0.0.1:9100", OperationsAddress.tcp(host: "127.0.0.1", port: 9100)),
    ("127.9.9.9:0", .tcp(host: "127.9.9.9", port: 0)), ("[::1]:1", .tcp(host: "::1", port: 1)),
    ("unix:/run/x.sock", .unix(path: "/run/x.sock")),
  ]) func onlyThisMachineCanReachIt(_ text: String, _ address: OperationsAddress) {
    #expect(OperationsAddress(text) == address)
  }

  @Test(arguments: [
    "", "127.0.0.1", "127.0.0.1:", ":9100", "9100", "0.0.0.0:9100", "192.0.2.1:9100", "localhost:9100", "[::]:9100",
    "::1:9100", "127.0.0.1:65536", "127.0.0.1:+1", "127.1:9100", "unix:relative", "unix:",
    "unix:/" + String(repeating: "x", count: 107),
  ]) func nothingElseIsAnAddressOfTheOperator(_ text: String) {
    #expect(OperationsAddress(text) == nil && OperationsAddress.setting.fault(text) != nil)
  }

  @Test(
    arguments: [
      ([:], 1000), (["LEADPIPE_SLOW_MS": "0"], nil), (["LEADPIPE_SLOW_MS": "off"], nil),
      (["LEADPIPE_SLOW_MS": "20"], 20),
    ] as [([String: String], Int?)]) func whatIsSlowIsASetting(_ environment: [String: String], _ slow: Int?) throws
  {
    #expect(try GatewaySettings(environment).slow == slow.map { .milliseconds($0) })
  }

  @Test func faultyLimitsAreNamed() {
    let environment = [
      "LEADPIPE_SLOW_MS": "soon", "LEADPIPE_QUEUE": "-1", "LEADPIPE_QUEUE_MS": "1.5",
      "LEADPIPE_HANDLER_CONCURRENCY": "0", "LEADPIPE_OPERATIONS": "0.0.0.0:1",
    ]
    let problem = #expect(throws: Problem.self) { try GatewaySettings(environment) }
    #expect(Set(problem?.details.map(\.path) ?? []) == Set(environment.keys))
  }

  @Test func itIsOverloadWhenHalfIsTurnedAway() {
    var window = OverloadWindow()
    for _ in 0..<9 { window.note(turnedAway: true, at: 1) }
    #expect(!window.isOverload(at: 1), "too few to tell")
    window.note(turnedAway: true, at: 2)
    #expect(window.isOverload(at: 2))
    for _ in 0..<11 { window.note(turnedAway: false, at: 2) }
    #expect(!window.isOverload(at: 2), "most are served")
    for _ in 0..<20 { window.note(turnedAway: true, at: 5) }
    #expect(window.isOverload(at: 6))
    #expect(!window.isOverload(at: 7), "it is over")
  }

  @Test func linesKeepToTheirPaceAndNoneIsForgotten() {
    var pace = LinePace(limit: 2)
    let verdicts = (1...5).map { _ in pace.judge(at: 1) }
    #expect(verdicts == [.write, .write, .firstLeftOut, .leaveOut, .leaveOut])
    let next = [pace.judge(at: 2), pace.judge(at: 2), pace.judge(at: 2)]
    #expect(next == [.write, .write, .leaveOut])
    let sums = [pace.settle(), pace.settle()]
    #expect(sums == [4, 0])
  }

  @Test func aHandlerHasItsOwnPlacesAndItsOwnQueue() {
    var queue = AdmissionQueue(AdmissionLimits(places: 3, placesOfOne: 2, waitingOfOne: 1))
    let slow = (1...4).map { _ in queue.arrive("slow", at: .now) }
    #expect(slow == [.enter, .enter, .wait(ticket: 1), .turnedAway])
    let other = [queue.arrive("other", at: .now), queue.arrive("other", at: .now), queue.arrive("other", at: .now)]
    #expect(other == [.enter, .wait(ticket: 2), .turnedAway])
    let afterOther = queue.leave("other", at: .now)
    #expect(afterOther == 2, "the place is not one that the slow handler may have")
    let afterSlow = queue.leave("slow", at: .now)
    #expect(afterSlow == 1)
    #expect(queue.waiting(for: "slow") == 0 && queue.inside == 3)
  }

  @Test func windingUpEndsWhatIsIdleAndStillAnswersWhatComes() {
    let now = ContinuousClock.now
    var roster = StreamRoster<String>(StreamLimits(processes: 1, window: 1))
    _ = roster.arrive("a", at: now)
    let first = roster.toStart(at: now) ?? 0
    roster.serve(first, at: .now)
    _ = roster.next(for: first, at: now)
    _ = roster.arrive("b", at: now)
    roster.windUp()
    let isDoneEarly = roster.isDone(first, at: now)
    #expect(!isDoneEarly)
    _ = roster.answered(by: first)
    let waited = roster.next(for: first, at: now)
    _ = roster.answered(by: first)
    let isDone = roster.isDone(first, at: now)
    #expect(waited == "b" && isDone)
    _ = roster.end(first, unbegun: 0, isFault: false, at: now)
    _ = roster.arrive("late", at: now)
    let second = roster.toStart(at: now)
    #expect(second != nil, "who had found the route before is answered")
  }
}

import Contract
import Forms
import Glibc
import Host
import NIOCore
import Testing

@testable import gateway

/// Tests of the operations pages and of the limits behind them, without a listener.
@Suite struct OperationsTests {
  @Test func aHistogramCountsUpToEachBound() {
    var histogram = Histogram()
    for seconds in [0, 0.001, 0.0011, 0.3, 60] { histogram.add(seconds) }
    #expect(histogram.cumulative == [2, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4])
    #expect(histogram.count == 5 && abs(histogram.sum - 60.3021) < 1e-9)
    #expect(Histogram.bounds == Histogram.bounds.sorted())
  }

  @Test func theTextHasPrometheusFormat() {
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
  ]) func loopbackAndUnixAddressesAreAccepted(_ text: String, _ address: OperationsAddress) {
    #expect(OperationsAddress(text) == address)
  }

  @Test(arguments: [
    "", "127.0.0.1", "127.0.0.1:", ":9100", "9100", "0.0.0.0:9100", "192.0.2.1:9100", "localhost:9100", "[::]:9100",
    "::1:9100", "127.0.0.1:65536", "127.0.0.1:+1", "127.1:9100", "unix:relative", "unix:",
    "unix:/" + String(repeating: "x", count: 107),
  ]) func noOtherAddressIsAccepted(_ text: String) {
    #expect(OperationsAddress(text) == nil && OperationsAddress.setting.validate(text) != nil)
  }

  @Test(
    arguments: [
      ([:], 1000), (["LEADPIPE_SLOW_MS": "0"], nil), (["LEADPIPE_SLOW_MS": "off"], nil),
      (["LEADPIPE_SLOW_MS": "20"], 20),
    ] as [([String: String], Int?)])
  func theTimeOfASlowRequestIsASetting(_ environment: [String: String], _ slow: Int?) throws {
    #expect(try GatewaySettings(environment).slow == slow.map { .milliseconds($0) })
  }

  @Test func namesEveryInvalidLimit() {
    let environment = [
      "LEADPIPE_SLOW_MS": "soon", "LEADPIPE_QUEUE": "-1", "LEADPIPE_QUEUE_MS": "1.5",
      "LEADPIPE_HANDLER_CONCURRENCY": "0", "LEADPIPE_OPERATIONS": "0.0.0.0:1",
    ]
    let problem = #expect(throws: Problem.self) { try GatewaySettings(environment) }
    #expect(Set(problem?.fields.map(\.path) ?? []) == Set(environment.keys))
  }

  @Test func reportsOverloadIfHalfOfTheRequestsAreRefused() {
    var window = OverloadWindow()
    for _ in 0..<9 { window.record(refused: true, at: 1) }
    #expect(!window.isOverload(at: 1), "too few requests to decide")
    window.record(refused: true, at: 2)
    #expect(window.isOverload(at: 2))
    for _ in 0..<11 { window.record(refused: false, at: 2) }
    #expect(!window.isOverload(at: 2), "most are served")
    for _ in 0..<20 { window.record(refused: true, at: 5) }
    #expect(window.isOverload(at: 6))
    #expect(!window.isOverload(at: 7), "the overload has ended")
  }

  @Test func limitsLogLinesAndCountsTheDroppedOnes() {
    var rate = LogRateLimit(limit: 2)
    let verdicts = (1...5).map { _ in rate.decide(at: 1) }
    #expect(verdicts == [.write, .write, .dropFirst, .drop, .drop])
    let next = [rate.decide(at: 2), rate.decide(at: 2), rate.decide(at: 2)]
    #expect(next == [.write, .write, .drop])
    let dropped = [rate.takeDropped(), rate.takeDropped()]
    #expect(dropped == [4, 0])
  }

  @Test func aHandlerHasItsOwnSlotsAndItsOwnQueue() {
    var queue = AdmissionQueue(AdmissionLimits(slots: 3, slotsPerHandler: 2, queuePerHandler: 1))
    let slow = (1...4).map { _ in queue.arrive("slow", at: .now) }
    #expect(slow == [.admitted, .admitted, .queued(1), .refused])
    let other = [queue.arrive("other", at: .now), queue.arrive("other", at: .now), queue.arrive("other", at: .now)]
    #expect(other == [.admitted, .queued(2), .refused])
    let afterOther = queue.leave("other", at: .now)
    #expect(afterOther == 2, "the slow handler may not use this slot")
    let afterSlow = queue.leave("slow", at: .now)
    #expect(afterSlow == 1)
    #expect(queue.waiting(for: "slow") == 0 && queue.running == 3)
  }

  @Test func drainingEndsIdleProcessesAndStillServesRequests() {
    let now = ContinuousClock.now
    var scheduler = StreamScheduler<String>(StreamLimits(processes: 1, window: 1))
    _ = scheduler.arrive("a", at: now)
    let first = scheduler.processToStart(at: now) ?? 0
    scheduler.started(first, at: .now)
    _ = scheduler.next(for: first, at: now)
    _ = scheduler.arrive("b", at: now)
    scheduler.drain()
    let isDoneEarly = scheduler.isDone(first, at: now)
    #expect(!isDoneEarly)
    _ = scheduler.replied(first)
    let waited = scheduler.next(for: first, at: now)
    _ = scheduler.replied(first)
    let isDone = scheduler.isDone(first, at: now)
    #expect(waited == "b" && isDone)
    _ = scheduler.ended(first, unsent: 0, isFailure: false, at: now)
    _ = scheduler.arrive("late", at: now)
    let second = scheduler.processToStart(at: now)
    #expect(second != nil, "a request that was routed before draining is served")
  }
}

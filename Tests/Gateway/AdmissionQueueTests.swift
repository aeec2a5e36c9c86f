import Testing

@testable import gateway

@Suite struct AdmissionQueueTests {
  @Test func admitsUpToTheSlotLimitAndQueuesTheRestInOrder() {
    var queue = AdmissionQueue(AdmissionLimits(slots: 2, slotsPerHandler: 2, queuePerHandler: 2))
    let verdicts = (1...5).map { _ in queue.arrive("a", at: .now) }
    #expect(verdicts == [.admitted, .admitted, .queued(1), .queued(2), .refused])
    let admitted = [queue.leave("a", at: .now), queue.leave("a", at: .now), queue.leave("a", at: .now)]
    #expect(admitted == [1, 2, nil])
    #expect(queue.running == 1)
  }

  @Test func aRequestThatGaveUpIsNotAdmitted() {
    var queue = AdmissionQueue(AdmissionLimits(slots: 1, queuePerHandler: 2))
    let verdicts = (1...3).map { _ in queue.arrive("a", at: .now) }
    #expect(verdicts == [.admitted, .queued(1), .queued(2)])
    let gaveUp = [queue.giveUp(1, at: .now), queue.giveUp(1, at: .now)]
    #expect(gaveUp == [true, false])
    let admitted = queue.leave("a", at: .now)
    let tooLate = queue.giveUp(2, at: .now)
    #expect(admitted == 2 && !tooLate)
    let none = queue.leave("a", at: .now)
    #expect(none == nil)
    #expect(queue.running == 0)
  }

  @Test func neverRunsMoreRequestsThanThereAreSlots() async {
    let admission = AdmissionController(AdmissionLimits(slots: 3, queuePerHandler: 100, longestWait: .seconds(10)))
    let running = Counter()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<50 {
        group.addTask {
          // The queue's limit shrinks while the queue lasts: a refused request is retried.
          while await admission.acquire("a") != nil { try? await Task.sleep(for: .milliseconds(5)) }
          await running.add(1)
          try? await Task.sleep(for: .milliseconds(2))
          await running.add(-1)
          await admission.release("a")
        }
      }
    }
    #expect(await running.highest == 3)
  }

  @Test func waitsAtMostTheLongestWait() async {
    let admission = AdmissionController(AdmissionLimits(slots: 1, queuePerHandler: 1, longestWait: .milliseconds(50)))
    #expect(await admission.acquire("a") == nil)
    #expect(await admission.acquire("a") == .waitedTooLong)
    await admission.release("a")
    #expect(await admission.acquire("a") == nil)
  }

  private actor Counter {
    private var count = 0
    private(set) var highest = 0

    func add(_ number: Int) {
      count += number
      highest = max(highest, count)
    }
  }
}

@Suite struct StderrLinesTests {
  private func text(_ lines: [[UInt8]]) -> [String] { lines.map { String(decoding: $0, as: UTF8.self) } }

  @Test func passesWholeLines() {
    var lines = StderrLines(limit: 100)
    #expect(text(lines.add(Array("a\nb".utf8))) == ["a\n"])
    #expect(text(lines.add(Array("c\n\n\u{1B}[2Jd".utf8))) == ["bc\n"])
    #expect(text(lines.finish()) == ["\u{1B}[2Jd\n"])
    #expect(!lines.isCut)
  }

  @Test func dropsLinesOverItsLimit() {
    var lines = StderrLines(limit: 5)
    #expect(text(lines.add(Array("ab\ncdef\n".utf8))) == ["ab\n"])
    #expect(lines.finish().isEmpty)
    #expect(lines.isCut)
  }
}

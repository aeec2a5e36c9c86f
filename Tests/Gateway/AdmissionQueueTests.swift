import Testing

@testable import gateway

@Suite struct AdmissionTests {
  @Test func letsInWhatFitsAndQueuesTheRestInOrder() {
    var queue = AdmissionQueue(AdmissionLimits(places: 2, placesOfOne: 2, waitingOfOne: 2))
    let verdicts = (1...5).map { _ in queue.arrive("a", at: .now) }
    #expect(verdicts == [.enter, .enter, .wait(ticket: 1), .wait(ticket: 2), .turnedAway])
    let called = [queue.leave("a", at: .now), queue.leave("a", at: .now), queue.leave("a", at: .now)]
    #expect(called == [1, 2, nil])
    #expect(queue.inside == 1)
  }

  @Test func aTicketTakenBackIsNotCalled() {
    var queue = AdmissionQueue(AdmissionLimits(places: 1, waitingOfOne: 2))
    let verdicts = (1...3).map { _ in queue.arrive("a", at: .now) }
    #expect(verdicts == [.enter, .wait(ticket: 1), .wait(ticket: 2)])
    let takenBack = [queue.giveUp(1, at: .now), queue.giveUp(1, at: .now)]
    #expect(takenBack == [true, false])
    let called = queue.leave("a", at: .now)
    let tooLate = queue.giveUp(2, at: .now)
    #expect(called == 2 && !tooLate)
    let nobody = queue.leave("a", at: .now)
    #expect(nobody == nil)
    #expect(queue.inside == 0)
  }

  @Test func noMoreThanThePlacesAreInsideAtOnce() async {
    let admission = Admission(AdmissionLimits(places: 3, waitingOfOne: 100, longestWait: .seconds(10)))
    let inside = Counter()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<50 {
        group.addTask {
          // Who finds no seat, because the queue has lasted, asks again.
          while await admission.enter("a") != nil { try? await Task.sleep(for: .milliseconds(5)) }
          await inside.add(1)
          try? await Task.sleep(for: .milliseconds(2))
          await inside.add(-1)
          await admission.leave("a")
        }
      }
    }
    #expect(await inside.highest == 3)
  }

  @Test func waitsNoLongerThanIsSaid() async {
    let admission = Admission(AdmissionLimits(places: 1, waitingOfOne: 1, longestWait: .milliseconds(50)))
    #expect(await admission.enter("a") == nil)
    #expect(await admission.enter("a") == .waitedTooLong)
    await admission.leave("a")
    #expect(await admission.enter("a") == nil)
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

@Suite struct ErrorLinesTests {
  private func text(_ lines: [[UInt8]]) -> [String] { lines.map { String(decoding: $0, as: UTF8.self) } }

  @Test func givesWholeLines() {
    var lines = ErrorLines(limit: 100)
    #expect(text(lines.add(Array("a\nb".utf8))) == ["a\n"])
    #expect(text(lines.add(Array("c\n\n\u{1B}[2Jd".utf8))) == ["bc\n"])
    #expect(text(lines.finish()) == ["\u{1B}[2Jd\n"])
    #expect(!lines.isCut)
  }

  @Test func keepsToItsLimit() {
    var lines = ErrorLines(limit: 5)
    #expect(text(lines.add(Array("ab\ncdef\n".utf8))) == ["ab\n"])
    #expect(lines.finish().isEmpty)
    #expect(lines.isCut)
  }
}

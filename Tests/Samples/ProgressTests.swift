import Samples
import Testing

@Suite("The progress line") struct ProgressTests {
  @Test("shows count, speed and time left, over the previous line") func shows() {
    var progress = Progress(total: 2_000_000, startMilliseconds: 5000)
    #expect(progress.line(done: 0, atMilliseconds: 5499, columns: 80) == nil)
    #expect(progress.line(done: 0, atMilliseconds: 5500, columns: 80) == "\r0 of 2,000,000 (0 %), 0/s")
    #expect(
      progress.line(done: 500_000, atMilliseconds: 15_000, columns: 80)
        == "\r500,000 of 2,000,000 (25 %), 50,000/s, 0:30 left")
    #expect(
      progress.end(done: 2_000_000, atMilliseconds: 45_250, columns: 80)
        == "\r2,000,000 of 2,000,000 in 40.2 s, 49,689/s" + String(repeating: " ", count: 6) + "\n")
  }

  @Test("is updated at most ten times a second") func rate() {
    var progress = Progress(total: 10_000, startMilliseconds: 0)
    let lines = (0..<10_000).compactMap { progress.line(done: $0, atMilliseconds: $0, columns: 80) }
    #expect(lines.count == 95)
  }

  @Test("never fills a terminal's last column, because the line would wrap", arguments: [1, 2, 20, 40, 200])
  func narrow(_ columns: Int) {
    var progress = Progress(total: 10_000_000, startMilliseconds: 0)
    for now in stride(from: 0, to: 100_000, by: 1000) {
      let line = progress.line(done: now, atMilliseconds: now, columns: columns) ?? ""
      #expect(line.dropFirst().count <= max(columns - 1, 1) && !line.contains("\n"))
    }
    #expect(progress.end(done: 10_000_000, atMilliseconds: 100_000, columns: columns).hasSuffix("\n"))
  }

  @Test("handles a total of zero, hours left and a clock that does not advance") func edges() {
    var none = Progress(total: 0, startMilliseconds: 0)
    #expect(none.line(done: 0, atMilliseconds: 500, columns: 80) == "\r0 of 0 (100 %), 0/s")
    #expect(none.end(done: 0, atMilliseconds: 0, columns: 80).hasPrefix("\r0 of 0 in 0.0 s, 0/s"))
    var long = Progress(total: 10_000_000, startMilliseconds: 0)
    #expect(long.line(done: 1000, atMilliseconds: 1000, columns: 80)?.hasSuffix("1,000/s, 2:46:39 left") == true)
  }
}

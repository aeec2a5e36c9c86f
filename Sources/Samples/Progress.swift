/// A progress line that is rewritten in place. Decides when and what to write. The caller provides the clock, in
/// monotonic milliseconds, and the terminal.
package struct Progress: Sendable {
  private let total: Int
  private let start: Int
  private var lastWritten: Int?
  private var lastLength = 0

  package init(total: Int, startMilliseconds: Int) {
    self.total = total
    start = startMilliseconds
  }

  /// Returns the line to write when `done` items are complete. Nil within 100 ms of the last line and in the first half
  /// second: a short run writes only its last line, which then does not mix with the output at the end of a pipeline.
  /// `columns` is the terminal's width.
  package mutating func line(done: Int, atMilliseconds now: Int, columns: Int) -> String? {
    guard now - start >= 500, now - (lastWritten ?? start) >= 100 else { return nil }
    lastWritten = now
    let perSecond = rate(done, now)
    let left = perSecond > 0 ? ", \(Self.clock((total - done) / perSecond)) left" : ""
    let percent = total > 0 ? done * 100 / total : 100
    return rewritten(
      "\(Self.grouped(done)) of \(Self.grouped(total)) (\(percent) %), \(Self.grouped(perSecond))/s\(left)", columns)
  }

  /// Returns the last line, with a line feed.
  package mutating func end(done: Int, atMilliseconds now: Int, columns: Int) -> String {
    let time = "\((now - start) / 1000).\((now - start) % 1000 / 100) s"
    let text = "\(Self.grouped(done)) of \(Self.grouped(total)) in \(time), \(Self.grouped(rate(done, now)))/s"
    return rewritten(text, columns) + "\n"
  }

  private func rate(_ done: Int, _ now: Int) -> Int { done * 1000 / max(now - start, 1) }

  /// Overwrites the last line: pads with spaces if that was longer, and truncates to the terminal's width.
  private mutating func rewritten(_ text: String, _ columns: Int) -> String {
    let text = text.prefix(max(columns - 1, 1))
    defer { lastLength = text.count }
    return "\r" + text + String(repeating: " ", count: max(0, min(lastLength, columns - 1) - text.count))
  }

  /// 0:07, 12:30, 1:02:03.
  private static func clock(_ seconds: Int) -> String {
    let two = { (number: Int) in (number < 10 ? "0" : "") + String(number) }
    let (minutes, hours) = (seconds / 60 % 60, seconds / 3600)
    return (hours > 0 ? "\(hours):\(two(minutes))" : "\(minutes)") + ":" + two(seconds % 60)
  }

  /// 1,234,567.
  private static func grouped(_ number: Int) -> String {
    let digits = Array(String(number))
    return digits.indices.reduce(into: "") { text, index in
      if index > 0, (digits.count - index) % 3 == 0 { text += "," }
      text.append(digits[index])
    }
  }
}

/// Counts the lines of a stream and their results, for the one line that is logged at the end of a stream that was
/// started by hand.
package struct StreamSummary: Sendable {
  /// The lines of one result: how many, and the numbers of the first ones.
  private struct Lines: Sendable {
    var count = 0
    var first: [Int] = []

    mutating func add(_ number: Int) {
      count += 1
      if first.count < 10 { first.append(number) }
    }

    func text(_ word: String) -> String? {
      guard count > 0 else { return nil }
      let numbers = first.map(String.init).joined(separator: ", ")
      let more = count > first.count ? " and \(count - first.count) more" : ""
      return "\(count) \(word): line\(count == 1 ? "" : "s") \(numbers)\(more)"
    }
  }

  /// What has happened to a line with a reply of 2xx or 3xx.
  private let success: String
  private var succeeded = 0
  /// True if another program has sent requests: envelopes.
  package var hasEnvelopes = false
  private var refused = Lines()
  private var failed = Lines()

  /// `stores` is true for a handler that stores what it reads.
  package init(stores: Bool) { success = stores ? "stored" : "answered" }

  /// Adds the reply to the line with this number.
  package mutating func add(status: Int, line: Int) {
    switch status {
    case ..<400: succeeded += 1
    case ..<500: refused.add(line)
    default: failed.add(line)
    }
  }

  package var isClean: Bool { refused.count + failed.count == 0 }

  /// `5 read, 3 stored, 2 refused: lines 3, 4`. At most ten numbers are listed. Failures (5xx) follow after a
  /// semicolon.
  package var text: String {
    let read = succeeded + refused.count + failed.count
    let bad = [refused.text("refused"), failed.text("failed")].compactMap { $0 }.joined(separator: "; ")
    return "\(read) read, \(succeeded) \(success)" + (bad.isEmpty ? "" : ", " + bad)
  }
}

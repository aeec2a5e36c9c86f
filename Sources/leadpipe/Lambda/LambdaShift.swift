import Wire

/// How long a worker works from one event of AWS Lambda. It stops early enough to finish and record the sends in
/// progress, which takes at most 20 s, before Lambda ends the process.
struct LambdaShift {
  /// The time between the end of the shift and Lambda's deadline, in seconds.
  static let closingSeconds = 22
  /// The length if Lambda names no deadline.
  private static let standardSeconds = 30

  let seconds: Int

  /// - Parameter deadline: when Lambda ends the process, on the steady clock.
  init(until deadline: Instant?, now: Instant = .steady) {
    seconds = deadline.map { max(0, $0.seconds(since: now) - Self.closingSeconds) } ?? Self.standardSeconds
  }
}

/// Where the time of a request went.
struct Times: Sendable, Equatable {
  /// Until a process took it.
  var queue = Duration.zero
  /// Until its process ran.
  var start = Duration.zero
  /// Until its answer was there.
  var run = Duration.zero

  var total: Duration { queue + start + run }

  /// In milliseconds, for the log.
  var facts: [(key: String, value: String)] {
    [("queueMs", queue), ("startMs", start), ("runMs", run)].map { (key: $0.0, value: String($0.1.milliseconds)) }
  }
}

/// The time that each stage of a request took.
struct RequestTiming: Sendable, Equatable {
  /// Until a process took the request.
  var queue = Duration.zero
  /// Until its process had started.
  var start = Duration.zero
  /// Until its reply was complete.
  var run = Duration.zero

  var total: Duration { queue + start + run }

  /// For the log, in milliseconds.
  var logFields: [(key: String, value: String)] {
    [("queueMs", queue), ("startMs", start), ("runMs", run)].map { (key: $0.0, value: String($0.1.milliseconds)) }
  }
}

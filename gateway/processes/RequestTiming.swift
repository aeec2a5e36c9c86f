/// The duration of each stage of a request.
struct RequestTiming: Sendable, Equatable {
  /// The time until a process took the request.
  var queue = Duration.zero
  /// The time from then until its process had started.
  var start = Duration.zero
  /// The time from then until its reply was complete.
  var run = Duration.zero

  var total: Duration { queue + start + run }

  /// The fields for the log, in milliseconds.
  var logFields: [(key: String, value: String)] {
    [("queueMs", queue), ("startMs", start), ("runMs", run)].map { (key: $0.0, value: String($0.1.milliseconds)) }
  }
}

/// Reading ahead in a stream: while a handler waits for its database, it lets the stream read the next requests, and
/// checks them. They are answered when their turn comes, in order. Not thread-safe.
package final class ReadAhead {
  /// What reading ahead needs to go on.
  package enum Need { case nothing, time, input }

  /// Checks a request before its turn. Set by a handler whose check waits for nothing and does not depend on earlier
  /// requests. The handler finds the result in `Request.checked`.
  package var check: ((Request) -> any Sendable)?

  /// Set by a stream. Called only while the handler answers a batch. The argument is true if stdin can be read without waiting.
  var read: ((Bool) -> Need)?

  /// Reads and checks a few requests. Waits for nothing. Returns what it needs for more.
  package func proceed(inputIsReady: Bool) -> Need { check == nil ? .nothing : read?(inputIsReady) ?? .nothing }
}

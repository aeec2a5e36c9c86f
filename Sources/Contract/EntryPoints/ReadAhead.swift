import Wire

/// Reading ahead in a stream: while a handler waits for its database, it lets the stream read the next requests, and
/// checks them. They are answered when their turn comes, in order. Not thread-safe.
package final class ReadAhead {
  /// Checks a request before its turn. Set by a handler whose check waits for nothing and does not depend on earlier
  /// requests. The handler finds the result in `Request.checked`.
  package var check: ((Request) -> any Sendable)?

  /// Set by a stream while the handler answers a batch, and nil at any other time. The argument is true if stdin can be
  /// read without waiting.
  var read: ((Bool) -> WorkNeed)?

  /// Reads and checks a few requests. Waits for nothing. Returns what it needs for more.
  package func proceed(inputIsReady: Bool) -> WorkNeed { check == nil ? .nothing : read?(inputIsReady) ?? .nothing }
}

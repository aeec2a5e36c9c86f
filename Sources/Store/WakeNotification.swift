import Wire

/// NOTIFY and LISTEN on the channel `leadpipe_wake`, on which captures report that they have stored something.
extension Database {
  /// Sends `text` to all listening sessions, in its own transaction. Every role is allowed to. Does nothing meanwhile:
  /// no request is being answered.
  package func notify(_ text: String, deadline: Instant) throws(StoreFailure) {
    _ = try query("select pg_notify('leadpipe_wake', $1)", [Array(text.utf8) + [0]], deadline: deadline, working: false)
  }

  /// Listens; opens the session if necessary. Every role is allowed to.
  package func listen(deadline: Instant) throws(StoreFailure) {
    _ = try query("listen leadpipe_wake", deadline: deadline)
  }

  /// Stops listening: a pooler would pass the session on while it still listens.
  package func unlisten(deadline: Instant) throws(StoreFailure) {
    _ = try query("unlisten leadpipe_wake", deadline: deadline)
  }
}

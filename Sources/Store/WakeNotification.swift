import Wire

/// NOTIFY and LISTEN on the channel on which captures say that they have stored something.
extension Database {
  /// Says `text` to all sessions that listen, in a transaction of its own. Every role may.
  package func notify(_ text: String, deadline: Instant) throws(StoreFailure) {
    _ = try query("select pg_notify('leadpipe_wake', $1)", [text], deadline: deadline)
  }

  /// Opens the session where it is not open, and listens. Every role may.
  package func listen(deadline: Instant) throws(StoreFailure) {
    _ = try query("listen leadpipe_wake", deadline: deadline)
  }

  /// Listens no more: a pooler would hand the session on as it is.
  package func unlisten(deadline: Instant) throws(StoreFailure) {
    _ = try query("unlisten leadpipe_wake", deadline: deadline)
  }
}

import CPostgres
import Glibc
import Wire

/// NOTIFY and LISTEN on the channel on which captures say that they have stored something.
extension Database {
  /// Says `text` to all sessions that listen, in a transaction of its own. Every role may.
  func notify(_ text: String, deadline: Instant) throws(Failure) {
    _ = try query("select pg_notify('leadpipe_wake', $1)", [text], deadline: deadline)
  }

  /// Opens the session where it is not open, and listens. Every role may.
  func listen(deadline: Instant) throws(Failure) { _ = try query("listen leadpipe_wake", deadline: deadline) }

  /// Listens no more: a pooler would hand the session on as it is.
  func unlisten(deadline: Instant) throws(Failure) { _ = try query("unlisten leadpipe_wake", deadline: deadline) }
}

extension Database.Failure {
  /// The failure in words that a log may have.
  var brief: String {
    switch self {
    case .away(let reason): reason
    case .timedOut: "no answer in time"
    case .refused(let state, _, _): "sqlstate=\(state)"
    }
  }
}

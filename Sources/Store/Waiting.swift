import CPostgres
import Glibc
import Wire

/// Waiting for the server, with the deadline of the call.
extension Database {
  /// Works until the connection has something to read, the deadline has passed, or nothing more can be done. Returns
  /// true if the connection has something to read.
  func workMeanwhile(_ connection: OpaquePointer, _ deadline: Instant) -> Bool {
    guard let meanwhile else { return false }
    var need = meanwhile.work(false)
    while need != .nothing {
      var entries = [
        pollfd(fd: PQsocket(connection), events: Int16(POLLIN), revents: 0),
        pollfd(fd: need == .input ? meanwhile.descriptor : -1, events: Int16(POLLIN), revents: 0),
      ]
      let left = min(max(deadline.milliseconds - Instant.steady.milliseconds, 0), 3_600_000)
      let count = poll(&entries, 2, need == .time ? 0 : Int32(left))
      if count > 0, entries[0].revents != 0 { return true }
      if left == 0 || (count == 0 && need == .input) { return false }
      if count >= 0 { need = meanwhile.work(entries[1].revents != 0) }
    }
    return false
  }

  func wait(
    _ connection: OpaquePointer, _ events: Int32, _ deadline: Instant, isReady isKnown: Bool = false
  ) throws(StoreFailure) {
    guard isKnown || isReady(PQsocket(connection), events, until: deadline) else {
      // The server's own timeout ends the statement. Until then this connection cannot be used.
      close()
      throw .timedOut
    }
    if PQconsumeInput(connection) == 0 { throw broken(connection) }
  }

  func isReady(_ descriptor: Int32, _ events: Int32, until deadline: Instant) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    while true {
      let left = max(deadline.milliseconds - Instant.steady.milliseconds, 0)
      let count = poll(&entry, 1, Int32(min(left, 3_600_000)))
      if count > 0 { return true }
      if count == 0 || errno != EINTR { return false }
    }
  }
}

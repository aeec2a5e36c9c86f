import NIOCore
import Synchronization

/// Makes room for new connections: when the gateway has nearly as many as it may have, those that have waited longest
/// for a request are closed. Otherwise a client with many addresses could keep all others out with connections that do
/// nothing.
///
/// Connections are only registered while at least half of all are in use, so that it costs nothing in ordinary times.
final class IdleConnections: Sendable {
  /// A registered connection.
  struct Ticket: Sendable { fileprivate let number: Int }

  fileprivate struct State {
    /// In the order in which they began to wait. Those whose number is not in `waiting` have a request again.
    var queue: [(number: Int, channel: any Channel)] = []
    var first = 0
    var waiting: Set<Int> = []
    var next = 0
  }

  private let limit: Int
  private let open = Atomic(0)
  private let state = Mutex(State())

  /// - Parameter limit: how many connections may be open at the same time.
  init(limit: Int) { self.limit = limit }

  /// Counts a new connection. Beyond nine tenths of the limit, closes the one that has waited longest.
  func connected() {
    guard open.add(1, ordering: .relaxed).newValue > limit - limit / 10 else { return }
    state.withLock { $0.takeOldest() }?.close(promise: nil)
  }

  func disconnected() { open.subtract(1, ordering: .relaxed) }

  /// Registers a connection that waits for a request; nil if there is room enough. The caller must return the ticket
  /// when the wait ends.
  func wait(_ channel: any Channel) -> Ticket? {
    guard open.load(ordering: .relaxed) > limit / 2 else { return nil }
    return state.withLock { state in
      state.next += 1
      state.waiting.insert(state.next)
      state.queue.append((state.next, channel))
      return Ticket(number: state.next)
    }
  }

  /// Ends the wait of a connection: it has a request, or has ended.
  func end(_ ticket: Ticket?) {
    guard let ticket else { return }
    state.withLock { state in
      state.waiting.remove(ticket.number)
      state.compact()
    }
  }
}

extension IdleConnections.State {
  /// Removes and returns the connection that has waited longest.
  fileprivate mutating func takeOldest() -> (any Channel)? {
    while first < queue.count {
      let (number, channel) = queue[first]
      first += 1
      if waiting.remove(number) != nil { return channel }
    }
    return nil
  }

  /// Drops the entries of waits that have ended, when they are more than half.
  fileprivate mutating func compact() {
    guard queue.count > 64, queue.count > 2 * waiting.count else { return }
    queue = queue[first...].filter { waiting.contains($0.number) }
    first = 0
  }
}

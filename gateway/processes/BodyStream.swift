import CProcess
import Glibc
import NIOCore
import Synchronization

/// A body that follows a handler's reply, on its way from the process to the client. The process's thread reads the
/// next piece only when the client has taken the one before, so a slow client makes the handler wait, and memory holds
/// one piece. Either side ends it: `end` when the process has ended, `cancel` when the client has left.
final class BodyStream: Sendable {
  enum Event: Sendable {
    case piece([UInt8])
    /// No more follows. If the body is not whole, the client must not take it for whole.
    case end(BodyEnd)
  }

  private struct State {
    var isWanted = false
    var isCancelled = false
    var receiver: (@Sendable (Event) -> Void)?
    var ended: BodyEnd?
  }

  /// Becomes readable when the state has changed: wakes the process's thread from poll(2).
  let descriptor: Int32
  private let waking: Int32
  private let state = Mutex(State())

  /// Nil if the system has no descriptors left.
  init?() {
    var ends: [Int32] = [-1, -1]
    guard pipe2(&ends, O_CLOEXEC | O_NONBLOCK) == 0 else { return nil }
    (descriptor, waking) = (ends[0], ends[1])
  }

  deinit {
    close(descriptor)
    close(waking)
  }

  // MARK: - The client's side

  /// Asks for the first piece. Events arrive on the loop.
  func start(on loop: any EventLoop, _ receive: @escaping @Sendable (Event) -> Void) {
    let receiver: @Sendable (Event) -> Void = { event in loop.execute { receive(event) } }
    let ended = state.withLock { state in
      (state.receiver, state.isWanted) = (receiver, true)
      return state.ended
    }
    if let ended { receiver(.end(ended)) } else { wake() }
  }

  /// Asks for the next piece.
  func more() {
    state.withLock { $0.isWanted = true }
    wake()
  }

  /// The client has left: the process is ended.
  func cancel() {
    state.withLock { state in
      state.isCancelled = true
      // It holds the connection, which holds this.
      state.receiver = nil
    }
    wake()
  }

  // MARK: - The process's side

  var isCancelled: Bool { state.withLock { $0.isCancelled } }
  /// True if a piece may be sent.
  var isWanted: Bool { state.withLock { $0.isWanted } }

  func send(_ piece: [UInt8]) {
    let receiver = state.withLock { state in
      state.isWanted = false
      return state.receiver
    }
    receiver?(.piece(piece))
  }

  func end(_ end: BodyEnd) {
    let receiver = state.withLock { state in
      state.ended = end
      defer { state.receiver = nil }
      return state.receiver
    }
    receiver?(.end(end))
  }

  /// Empties the pipe that wakes the thread.
  func clearWaking() {
    var bytes = [UInt8](repeating: 0, count: 64)
    while bytes.withUnsafeMutableBytes({ read(descriptor, $0.baseAddress, $0.count) }) > 0 {}
  }

  private func wake() {
    // A full pipe wakes it too.
    _ = [UInt8(0)].withUnsafeBytes { write(waking, $0.baseAddress, 1) }
  }
}

import CProcess
import Glibc
import Synchronization

/// Starts a thread for each stream process, and waits for all of them to end. A process can request from the kernel to
/// be ended with the thread that started it, so a thread lasts as long as its process.
final class ProcessThreads: Sendable {
  private struct State: Sendable {
    var running = 0
    var waiter: CheckedContinuation<Void, Never>?
  }

  private final class Work: Sendable {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  private static let stackSize = 524_288
  private let state = Mutex(State())

  /// Runs `body` on a new thread. False if no more threads can be started.
  func start(_ body: @escaping @Sendable () -> Void) -> Bool {
    state.withLock { $0.running += 1 }
    let work = Work { [self] in
      body()
      end()
    }
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, Self.stackSize)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    var thread = pthread_t()
    let pointer = Unmanaged.passRetained(work).toOpaque()
    let code = pthread_create(
      &thread, &attributes,
      { pointer in
        if let pointer { Unmanaged<Work>.fromOpaque(pointer).takeRetainedValue().body() }
        return nil
      }, pointer)
    guard code != 0 else { return true }
    Unmanaged<Work>.fromOpaque(pointer).release()
    end()
    return false
  }

  private func end() {
    state.withLock { state in
      state.running -= 1
      guard state.running == 0 else { return nil as CheckedContinuation<Void, Never>? }
      defer { state.waiter = nil }
      return state.waiter
    }?.resume()
  }

  /// Returns when all threads have ended. Must be called only once.
  func waitForAll() async {
    await withCheckedContinuation { continuation in
      let haveEnded = state.withLock { state in
        if state.running > 0 { state.waiter = continuation }
        return state.running == 0
      }
      if haveEnded { continuation.resume() }
    }
  }
}

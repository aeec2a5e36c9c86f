import Contract
import Host
import NIOCore
import NIOPosix

/// Starts a new process for every request. A request waits for a slot and is then served on a thread. The thread starts
/// the process, writes to it, ends it and waits for it, so that no event loop blocks and each process has one owner.
struct OneShotProcesses: HandlerProcesses {
  private let context: ProcessContext
  private let threads: NIOThreadPool
  private let admission: AdmissionController

  init(limits: AdmissionLimits, context: ProcessContext) {
    self.context = context
    threads = NIOThreadPool(numberOfThreads: limits.slots)
    threads.start()
    admission = AdmissionController(limits)
  }

  func status(of handler: String) async -> ProcessStatus {
    let running = context.statistics[handler].running
    return ProcessStatus(waiting: await admission.waiting(for: handler), processes: ["running": running])
  }

  func run(_ request: HandlerRequest, on loop: any EventLoop) -> EventLoopFuture<HandlerResult> {
    // If a body follows, the result comes before the process ends.
    let promise = loop.makePromise(of: HandlerResult.self)
    Task {
      let result = await runToEnd(request) { promise.succeed($0) }
      if case .followed = result.outcome { return }
      promise.succeed(result)
    }
    return promise.futureResult
  }

  private func runToEnd(
    _ request: HandlerRequest, begin: @escaping @Sendable (HandlerResult) -> Void
  ) async -> HandlerResult {
    let arrival = ContinuousClock.now
    let name = request.handler.description.name
    if let refusal = await admission.acquire(name) { return HandlerResult(outcome: .refused(refusal)) }
    let queue = ContinuousClock.now - arrival
    var result = HandlerResult(outcome: .stopped)
    do {
      result = try await threads.runIfActive {
        context.statistics.counting(name) { OneShotProcess.run(request, context, begin: begin) }
      }
    } catch {
      // The threads have been shut down because the gateway is stopping.
    }
    await admission.release(name)
    result.timing.queue = queue
    return result
  }

  /// Returns when all processes have ended. The caller must have sent the stop signal.
  func shutDown() async { try? await threads.shutdownGracefully() }
}

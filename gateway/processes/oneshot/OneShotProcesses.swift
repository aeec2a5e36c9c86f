import Contract
import Host
import NIOCore
import NIOPosix

/// Starts a new process for every request.
struct OneShotProcesses: HandlerProcesses {
  private let runner: SingleRequestRunner

  init(limits: AdmissionLimits, context: ProcessContext) {
    runner = SingleRequestRunner(limits: limits, context: context)
  }

  func status(of handler: String) async -> ProcessStatus {
    let running = runner.context.statistics[handler].running
    return ProcessStatus(waiting: await runner.waiting(for: handler), processes: ["running": running])
  }

  func run(_ request: HandlerRequest, on loop: any EventLoop) -> EventLoopFuture<HandlerResult> {
    runner.run(request, on: loop) { [context = runner.context] in
      OneShotProcess.run(request, environment: request.handler.environment(from: context.environment), context)
    }
  }

  /// Returns when all processes have ended. The caller must have sent the stop signal.
  func shutDown() async { await runner.shutDown() }
}

/// Runs requests that each have a process of their own. A request waits for a slot and is then served on a thread. The
/// thread starts the process, writes to it, ends it and waits for it, so that no event loop blocks and each process has
/// one owner.
struct SingleRequestRunner: Sendable {
  let context: ProcessContext
  let threads: NIOThreadPool
  private let admission: AdmissionController

  init(limits: AdmissionLimits, context: ProcessContext) {
    self.context = context
    threads = NIOThreadPool(numberOfThreads: limits.slots)
    threads.start()
    admission = AdmissionController(limits)
  }

  func waiting(for handler: String) async -> Int { await admission.waiting(for: handler) }

  /// Calls `serve` on a thread when the request has a slot. The future holds its result, or the reason for a refusal.
  func run(
    _ request: HandlerRequest, on loop: any EventLoop, serve: @escaping @Sendable () -> HandlerResult
  ) -> EventLoopFuture<HandlerResult> {
    loop.makeFutureWithTask {
      let arrival = ContinuousClock.now
      let name = request.handler.description.name
      if let refusal = await admission.acquire(name) { return HandlerResult(outcome: .refused(refusal)) }
      let queue = ContinuousClock.now - arrival
      var result = HandlerResult(outcome: .stopped)
      do { result = try await threads.runIfActive { context.statistics.counting(name, serve) } } catch {
        // The threads have been shut down because the gateway is stopping.
      }
      await admission.release(name)
      result.timing.queue = queue
      return result
    }
  }

  /// Returns when all processes have ended. The caller must have sent the stop signal.
  func shutDown() async { try? await threads.shutdownGracefully() }
}

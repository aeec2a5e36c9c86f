import Contract
import Host
import NIOCore
import NIOPosix
import Synchronization

/// Gives each request a process of its own that was started ahead. Such a spare process waits on stdin, without a
/// database connection. It is replaced when its request has been answered, so that no request waits for a start.
final class WarmProcesses: HandlerProcesses {
  private let runner: SingleRequestRunner
  private let spares: Int
  private let pools = Mutex<[String: WarmPool]>([:])

  /// - Parameter spares: the number of spare processes of each handler in use.
  init(limits: AdmissionLimits, spares: Int, context: ProcessContext) {
    runner = SingleRequestRunner(limits: limits, context: context)
    self.spares = spares
  }

  /// Sets the current handlers. Ends the spare processes of handlers that have changed or been removed.
  func keep(_ handlers: [HostedHandler]) {
    let removed = pools.withLock { pools in
      let kept = handlers.map { handler in
        let pool = pools[handler.description.name]
        return pool?.handler == handler ? pool ?? WarmPool(handler, size: spares) : WarmPool(handler, size: spares)
      }
      let removed = pools.values.filter { pool in !kept.contains { $0.handler == pool.handler } }
      pools = Dictionary(kept.map { ($0.handler.description.name, $0) }) { first, _ in first }
      return removed
    }
    runner.threads.submit { _ in for var pool in removed { pool.close().forEach { $0.end() } } }
  }

  func status(of handler: String) async -> ProcessStatus {
    let spare = pools.withLock { $0[handler]?.count ?? 0 }
    let running = runner.context.statistics[handler].running
    return ProcessStatus(
      waiting: await runner.waiting(for: handler), processes: ["running": running, "spare": spare])
  }

  func run(_ request: HandlerRequest, on loop: any EventLoop) -> EventLoopFuture<HandlerResult> {
    let handler = request.handler
    let result = runner.run(request, on: loop) { self.serve(request) }
    result.whenComplete { _ in
      self.refill(handler)
      if self.change(handler, { $0.startExpiry() }) { self.scheduleExpiry(handler, on: loop) }
    }
    return result
  }

  private func serve(_ request: HandlerRequest) -> HandlerResult {
    let handler = request.handler
    let (spare, unusable) = change(handler) { $0.take(for: handler, at: .now) }
    for process in unusable { process.end() }
    return OneShotProcess.run(
      request, environment: environment(of: handler), started: spare?.child, runner.context)
  }

  /// Schedules the end of the spare processes of a handler that no longer gets requests.
  private func scheduleExpiry(_ handler: HostedHandler, on loop: any EventLoop) {
    loop.scheduleTask(in: .seconds(Int64(WarmPool.longestIdle.components.seconds) + 1)) {
      self.runner.threads.submit { state in
        guard case .active = state else { return }
        let (idle, goesOn) = self.change(handler) { $0.expire(at: .now) }
        for process in idle { process.end() }
        if goesOn { self.scheduleExpiry(handler, on: loop) }
      }
    }
  }

  /// Starts the missing spare processes on a thread, so that no request waits for their start.
  private func refill(_ handler: HostedHandler) {
    runner.threads.submit { state in
      guard case .active = state else { return }
      while self.change(handler, { $0.startsMore(of: handler, at: .now) }) {
        let child = try? Child.spawn(handler, environment: self.environment(of: handler), pipesError: true)
        self.change(handler) { $0.add(child, of: handler, at: .now) }?.end()
        if child == nil { return }
      }
    }
  }

  private func environment(of handler: HostedHandler) -> [String: String] {
    handler.environment(from: runner.context.environment).merging(["LEADPIPE_SPARE": "1"]) { $1 }
  }

  private func change<R: Sendable>(_ handler: HostedHandler, _ body: (inout WarmPool) -> sending R) -> R {
    pools.withLock { body(&$0[handler.description.name, default: WarmPool(handler, size: 0)]) }
  }

  /// Ends all spare processes. Returns when all processes have ended. The caller must have sent the stop signal.
  func shutDown() async {
    await runner.shutDown()
    for process in pools.withLock({ pools in pools.keys.flatMap { pools[$0]?.close() ?? [] } }) { process.end() }
  }
}

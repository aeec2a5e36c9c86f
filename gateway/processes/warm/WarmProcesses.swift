import Glibc
import Handler
import Host
import NIOCore
import NIOPosix
import Synchronization

/// A process for each request, started before the request comes: it waits at stdin, without a database connection. One that
/// was taken is replaced when its request has its answer, so that no request waits while a process starts.
final class WarmProcesses: ProcessSource {
  private let admission: Admission
  private let threads: NIOThreadPool
  private let budgets: Budgets
  private let environment: [String: String]
  private let stop: StopSignal
  private let ledger: ProcessLedger
  private let log: Log
  private let spares: Int
  private let racks: Mutex<[String: SpareRack]>

  /// - Parameters:
  ///   - limits: how many processes with a request run at a time, and who waits.
  ///   - spares: how many wait for each handler that is in use.
  init(
    limits: AdmissionLimits, spares: Int, budgets: Budgets, environment: [String: String], stop: StopSignal,
    ledger: ProcessLedger, log: Log
  ) {
    admission = Admission(limits)
    threads = NIOThreadPool(numberOfThreads: limits.places)
    threads.start()
    self.budgets = budgets
    self.environment = environment
    self.stop = stop
    self.ledger = ledger
    self.log = log
    self.spares = spares
    racks = Mutex([:])
  }

  /// From now on these are the handlers. Spares of those that have changed, or are no more, are ended.
  func keep(_ handlers: [HostedHandler]) {
    let old = racks.withLock { racks in
      let kept = handlers.map { handler in
        let own = racks[handler.description.name]
        return own?.handler == handler ? own ?? SpareRack(handler, places: spares) : SpareRack(handler, places: spares)
      }
      let left = racks.values.filter { rack in !kept.contains { $0.handler == rack.handler } }
      racks = Dictionary(kept.map { ($0.handler.description.name, $0) }) { first, _ in first }
      return left
    }
    threads.submit { _ in for var rack in old { rack.close().forEach { $0.end() } } }
  }

  func standing(of handler: String) async -> Standing {
    let spares = racks.withLock { $0[handler]?.count ?? 0 }
    let waiting = await admission.waiting(for: handler)
    return Standing(waiting: waiting, processes: ["running": ledger[handler].running, "spare": spares])
  }

  func run(_ call: Call, on loop: any EventLoop) -> EventLoopFuture<HandlerResult> {
    let result = loop.makeFutureWithTask { await self.run(call) }
    let handler = call.endpoint.handler
    result.whenComplete { _ in
      self.refill(handler)
      if self.change(handler, { $0.beWatched() }) { self.watch(handler, on: loop) }
    }
    return result
  }

  /// Ends the spares of a handler that nobody asks any more.
  private func watch(_ handler: HostedHandler, on loop: any EventLoop) {
    loop.scheduleTask(in: .seconds(Int64(SpareRack.longestIdle.components.seconds) + 1)) {
      self.threads.submit { state in
        guard case .active = state else { return }
        let (idle, goesOn) = self.change(handler) { $0.takeIdleByWatch(at: .now) }
        for spare in idle { spare.end() }
        if goesOn { self.watch(handler, on: loop) }
      }
    }
  }

  private func run(_ call: Call) async -> HandlerResult {
    let arrival = ContinuousClock.now
    let name = call.endpoint.handler.description.name
    if let refusal = await admission.enter(name) { return HandlerResult(end: .turnedAway(refusal)) }
    let queue = ContinuousClock.now - arrival
    var result = HandlerResult(end: .stopped)
    do { result = try await threads.runIfActive { self.runHere(call) } } catch {
      // The threads are no more: the gateway stops.
    }
    await admission.leave(name)
    result.times.queue = queue
    return result
  }

  private func runHere(_ call: Call) -> HandlerResult {
    let handler = call.endpoint.handler
    let (spare, old) = change(handler) { $0.take(for: handler, at: .now) }
    for spare in old { spare.end() }
    return ledger.following(handler.description.name) {
      HandlerRun.perform(
        handler, environment: environment(of: handler), spare: spare?.child, envelope: call.envelope(),
        budgets: budgets, stop: stop, log: log)
    }
  }

  /// Starts what is missing, off the way of any request.
  private func refill(_ handler: HostedHandler) {
    threads.submit { state in
      guard case .active = state else { return }
      while self.change(handler, { $0.wantsMore(of: handler, at: .now) }) {
        let child = try? Child.spawn(handler, environment: self.environment(of: handler), pipesError: true)
        self.change(handler) { $0.add(child, of: handler, at: .now) }?.end()
        if child == nil { return }
      }
    }
  }

  private func environment(of handler: HostedHandler) -> [String: String] {
    handler.environment(from: environment).merging(["LEADPIPE_SPARE": "1"]) { $1 }
  }

  private func change<R: Sendable>(_ handler: HostedHandler, _ body: (inout SpareRack) -> sending R) -> R {
    racks.withLock { body(&$0[handler.description.name, default: SpareRack(handler, places: 0)]) }
  }

  /// Ends all spares, and returns when all that still runs, and has been told to stop, is gone.
  func shutDown() async {
    try? await threads.shutdownGracefully()
    for spare in racks.withLock({ racks in racks.keys.flatMap { racks[$0]?.close() ?? [] } }) { spare.end() }
  }
}

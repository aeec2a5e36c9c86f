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
  private let environment: [String: String]
  private let stop: StopSignal
  private let racks: Mutex<[String: SpareRack]>

  /// - Parameters:
  ///   - concurrency: how many processes with a request run at a time.
  ///   - spares: how many wait for each handler that is in use.
  init(
    _ handlers: [HostedHandler], concurrency: Int, spares: Int, environment: [String: String], stop: StopSignal
  ) {
    admission = Admission(places: concurrency, waitingPlaces: 256, longestWait: .seconds(1))
    threads = NIOThreadPool(numberOfThreads: handlers.isEmpty ? 1 : concurrency)
    threads.start()
    self.environment = environment
    self.stop = stop
    let racks = handlers.map { ($0.description.name, SpareRack(path: $0.path, places: spares)) }
    self.racks = Mutex(Dictionary(racks) { first, _ in first })
  }

  func run(_ call: Call, on loop: any EventLoop) -> EventLoopFuture<HandlerResult> {
    let result = loop.makeFutureWithTask { await self.run(call) }
    let handler = call.endpoint.handler
    result.whenComplete { _ in
      self.refill(handler)
      if self.change(handler.description.name, { $0.beWatched() }) { self.watch(handler.description.name, on: loop) }
    }
    return result
  }

  /// Ends the spares of a handler that nobody asks any more.
  private func watch(_ name: String, on loop: any EventLoop) {
    loop.scheduleTask(in: .seconds(Int64(SpareRack.longestIdle.components.seconds) + 1)) {
      self.threads.submit { state in
        guard case .active = state else { return }
        let (idle, goesOn) = self.change(name) { $0.takeIdleByWatch(at: .now) }
        for spare in idle { spare.end() }
        if goesOn { self.watch(name, on: loop) }
      }
    }
  }

  private func run(_ call: Call) async -> HandlerResult {
    let arrival = ContinuousClock.now
    guard await admission.enter() else { return HandlerResult(end: .turnedAway) }
    let queueMs = (ContinuousClock.now - arrival).milliseconds
    var result = HandlerResult(end: .stopped)
    do { result = try await threads.runIfActive { self.runHere(call) } } catch {
      // The threads are no more: the gateway stops.
    }
    await admission.leave()
    result.queueMs = queueMs
    return result
  }

  private func runHere(_ call: Call) -> HandlerResult {
    let handler = call.endpoint.handler
    let (spare, old) = change(handler.description.name) { $0.take(at: .now) }
    for spare in old { spare.end() }
    return HandlerRun.perform(
      handler, environment: environment(of: handler), spare: spare?.child, envelope: call.envelope(),
      timeLimit: .milliseconds(handler.description.timeLimitMs), stop: stop)
  }

  /// Starts what is missing, off the way of any request.
  private func refill(_ handler: HostedHandler) {
    threads.submit { state in
      guard case .active = state else { return }
      while self.change(handler.description.name, { $0.wantsMore(at: .now) }) {
        let child = try? Child.spawn(handler, environment: self.environment(of: handler), pipesError: true)
        self.change(handler.description.name) { $0.add(child, at: .now) }?.end()
        if child == nil { return }
      }
    }
  }

  private func environment(of handler: HostedHandler) -> [String: String] {
    handler.environment(from: environment).merging(["LEADPIPE_SPARE": "1"]) { $1 }
  }

  private func change<R: Sendable>(_ name: String, _ body: (inout SpareRack) -> sending R) -> R {
    racks.withLock { body(&$0[name, default: SpareRack(path: "", places: 0)]) }
  }

  /// Ends all spares, and returns when all that still runs, and has been told to stop, is gone.
  func shutDown() async {
    try? await threads.shutdownGracefully()
    for spare in racks.withLock({ racks in racks.keys.flatMap { racks[$0]?.close() ?? [] } }) { spare.end() }
  }
}

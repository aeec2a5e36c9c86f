import Handler
import Host
import NIOCore
import NIOPosix

/// Where the process of a request comes from: the place for process modes.
protocol ProcessSource: Sendable {
  /// Gives a complete request to a handler process and returns what came of it.
  func run(_ call: Call, on loop: any EventLoop) -> EventLoopFuture<HandlerResult>
}

/// What a route leads to: a handler, and where its processes come from.
struct Endpoint: Sendable {
  let handler: HostedHandler
  let processes: any ProcessSource
}

/// What a handler process did.
struct HandlerResult: Sendable {
  enum End: Sendable, Equatable {
    /// It wrote `output` and ended, or ended without.
    case ended(Termination?)
    /// It wrote a reply and may go on.
    case answered(Reply)
    /// What it wrote is no reply, or it can write none any more.
    case badReply(reason: String)
    /// No process could be started.
    case notStarted(reason: String)
    case tooMuchOutput
    case tooSlow
    /// No process was free in time.
    case turnedAway
    /// Processes end at their start, so none is started for a while.
    case heldBack(seconds: Int)
    /// The gateway stops and waits no longer.
    case stopped
  }

  let end: End
  var output: [UInt8] = []
  var queueMs = 0
  var startMs = 0
  var runMs = 0
  /// Whether its stderr was more than is passed on.
  var errorsWereCut = false
}

/// A new process for every request. Each lives on a thread of its own, which starts it, feeds it, ends it and waits for
/// it: no event loop ever blocks, and a process has one owner from its first moment to its last.
struct OneShotProcesses: ProcessSource {
  private let admission: Admission
  private let threads: NIOThreadPool
  private let environment: [String: String]
  private let stop: StopSignal

  /// `concurrency` is how many processes run at a time. Each handler gets its share of `environment`.
  init(concurrency: Int, environment: [String: String], stop: StopSignal) {
    admission = Admission(places: concurrency, waitingPlaces: 256, longestWait: .seconds(1))
    threads = NIOThreadPool(numberOfThreads: concurrency)
    threads.start()
    self.environment = environment
    self.stop = stop
  }

  func run(_ call: Call, on loop: any EventLoop) -> EventLoopFuture<HandlerResult> {
    loop.makeFutureWithTask { await run(call) }
  }

  private func run(_ call: Call) async -> HandlerResult {
    let arrival = ContinuousClock.now
    guard await admission.enter() else { return HandlerResult(end: .turnedAway) }
    let queueMs = (ContinuousClock.now - arrival).milliseconds
    let handler = call.endpoint.handler
    var result = HandlerResult(end: .stopped)
    do {
      result = try await threads.runIfActive { [environment, stop] in
        HandlerRun.perform(
          handler, environment: handler.environment(from: environment), envelope: call.envelope(),
          timeLimit: .milliseconds(handler.description.timeLimitMs), stop: stop)
      }
    } catch {
      // The threads are no more: the gateway stops.
    }
    await admission.leave()
    result.queueMs = queueMs
    return result
  }

  /// Returns when all that still runs, and has been told to stop, is gone.
  func shutDown() async { try? await threads.shutdownGracefully() }
}

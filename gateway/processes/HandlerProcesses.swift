import Handler
import Host
import NIOCore
import NIOPosix

/// Where the process of a request comes from: the place for process modes.
protocol ProcessSource: Sendable {
  /// Gives a complete request to a handler process and returns what came of it.
  func run(_ call: Call, on loop: any EventLoop) -> EventLoopFuture<HandlerResult>

  /// What it has for a handler now.
  func standing(of handler: String) async -> Standing
}

/// Requests of a handler that wait for a place, and its processes by what they are doing.
struct Standing: Sendable {
  var waiting = 0
  var processes: KeyValuePairs<String, Int> = [:]
}

/// What a route leads to: a handler, and where its processes come from.
struct Endpoint: Sendable {
  let handler: HostedHandler
  let processes: any ProcessSource
  /// What goes on telling those whom it has let in; nil where a reply is all.
  var feed: Feed?
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
    /// More than these bytes.
    case tooMuchOutput(limit: Int)
    case tooSlow
    /// No process could take it.
    case turnedAway(Refusal)
    /// Processes end at their start, so none is started for a while.
    case heldBack(seconds: Int)
    /// The gateway stops and waits no longer.
    case stopped
  }

  let end: End
  var output: [UInt8] = []
  var times = Times()
  /// Whether its stderr was more than is passed on.
  var errorsWereCut = false
}

/// A new process for every request. Each lives on a thread of its own, which starts it, feeds it, ends it and waits for
/// it: no event loop ever blocks, and a process has one owner from its first moment to its last.
struct OneShotProcesses: ProcessSource {
  private let admission: Admission
  private let threads: NIOThreadPool
  private let budgets: Budgets
  private let environment: [String: String]
  private let stop: StopSignal
  private let ledger: ProcessLedger
  private let log: Log

  /// Each handler gets its share of `environment`.
  init(
    limits: AdmissionLimits, budgets: Budgets, environment: [String: String], stop: StopSignal, ledger: ProcessLedger,
    log: Log
  ) {
    admission = Admission(limits)
    threads = NIOThreadPool(numberOfThreads: limits.places)
    threads.start()
    self.budgets = budgets
    self.environment = environment
    self.stop = stop
    self.ledger = ledger
    self.log = log
  }

  func standing(of handler: String) async -> Standing {
    Standing(waiting: await admission.waiting(for: handler), processes: ["running": ledger[handler].running])
  }

  func run(_ call: Call, on loop: any EventLoop) -> EventLoopFuture<HandlerResult> {
    loop.makeFutureWithTask { await run(call) }
  }

  private func run(_ call: Call) async -> HandlerResult {
    let arrival = ContinuousClock.now
    let handler = call.endpoint.handler
    let name = handler.description.name
    if let refusal = await admission.enter(name) { return HandlerResult(end: .turnedAway(refusal)) }
    let queue = ContinuousClock.now - arrival
    var result = HandlerResult(end: .stopped)
    do {
      result = try await threads.runIfActive { [budgets, environment, stop, ledger, log] in
        ledger.following(name) {
          HandlerRun.perform(
            handler, environment: handler.environment(from: environment), envelope: call.envelope(),
            budgets: budgets, stop: stop, log: log)
        }
      }
    } catch {
      // The threads are no more: the gateway stops.
    }
    await admission.leave(name)
    result.times.queue = queue
    return result
  }

  /// Returns when all that still runs, and has been told to stop, is gone.
  func shutDown() async { try? await threads.shutdownGracefully() }
}

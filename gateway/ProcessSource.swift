import Handler
import Host
import NIOPosix

/// Where the process of a request comes from: the place for process modes. This version has one, a new process for every
/// request; processes that wait at stdin, or that take many requests, are other sources of the same answers.
protocol ProcessSource: Sendable {
  /// Gives `envelope` to a handler process and returns what came of it, when no process of the request is left.
  func run(_ handler: HostedHandler, envelope: [UInt8]) async -> HandlerResult
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
    /// No process could be started.
    case notStarted(reason: String)
    case tooMuchOutput
    case tooSlow
    /// The gateway stops and waits no longer.
    case stopped
  }

  let end: End
  var output: [UInt8] = []
  var startMs = 0
  var runMs = 0
  /// Whether its stderr was more than is passed on.
  var errorsWereCut = false
}

/// A new process for every request. Each lives on a thread of its own, which starts it, feeds it, ends it and waits for
/// it: no event loop ever blocks, and a process has one owner from its first moment to its last.
struct OneShotProcesses: ProcessSource {
  private let threads: NIOThreadPool
  private let environment: [String: String]
  private let stop: StopSignal

  /// `concurrency` is how many threads there are; whoever calls `run` sees to it that no more requests come at a time.
  /// Each handler gets its share of `environment`.
  init(concurrency: Int, environment: [String: String], stop: StopSignal) {
    threads = NIOThreadPool(numberOfThreads: concurrency)
    threads.start()
    self.environment = environment
    self.stop = stop
  }

  func run(_ handler: HostedHandler, envelope: [UInt8]) async -> HandlerResult {
    do {
      return try await threads.runIfActive { [environment, stop] in
        HandlerRun.perform(
          handler, environment: handler.environment(from: environment), envelope: envelope,
          timeLimit: .milliseconds(handler.description.timeLimitMs), stop: stop)
      }
    } catch { return HandlerResult(end: .stopped) }
  }

  /// Kills what still runs, and returns when all of it is gone.
  func shutDown() async {
    stop.give()
    try? await threads.shutdownGracefully()
  }
}

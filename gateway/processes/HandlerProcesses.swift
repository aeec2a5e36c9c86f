import NIOCore

/// The processes of handlers, in one of the process modes.
protocol HandlerProcesses: Sendable {
  /// Gives a complete request to a handler process. The future holds what came of it.
  func run(_ request: HandlerRequest, on loop: any EventLoop) -> EventLoopFuture<HandlerResult>

  /// The processes and waiting requests of a handler now.
  func status(of handler: String) async -> ProcessStatus
}

/// How many requests of a handler wait, and how many processes it has in each state.
struct ProcessStatus: Sendable {
  var waiting = 0
  var processes: KeyValuePairs<String, Int> = [:]
}

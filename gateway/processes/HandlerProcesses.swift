import NIOCore

/// The processes of handlers, in one of the process modes.
protocol HandlerProcesses: Sendable {
  /// Passes a complete request to a handler process. The future holds the result.
  func run(_ request: HandlerRequest, on loop: any EventLoop) -> EventLoopFuture<HandlerResult>

  /// The current processes and waiting requests of a handler.
  func status(of handler: String) async -> ProcessStatus
}

/// The number of waiting requests of a handler, and the number of its processes in each state.
struct ProcessStatus: Sendable {
  var waiting = 0
  var processes: KeyValuePairs<String, Int> = [:]
}

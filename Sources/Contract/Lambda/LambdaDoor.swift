import Wire

/// What answers the events of a function: an endpoint with its routes, or a step.
enum LambdaDoor {
  case endpoint(EndpointServer)
  case step(Handler, Handler.BatchAnswer)

  /// Lambda takes replies of 6 MiB. A body is a string in one, where some of its characters are longer.
  private static let largestBody = 4_194_304

  /// Checks the settings and opens the handler. Throws the problem of wrong settings, which has been logged.
  init(
    _ handler: Handler, _ environment: [String: String], afterwards: Afterwards, _ log: Log
  ) throws(Problem) {
    switch handler.description.kind {
    case .endpoint:
      let server = EndpointServer(
        handler, environment, afterwards: afterwards, bodies: .collected(limit: Self.largestBody), log)
      if let problem = server.open() { throw problem }
      self = .endpoint(server)
    case .step:
      self = .step(handler, try handler.opened(environment, afterwards: afterwards, log: log).get())
    }
  }
}

import Host

/// The target of a route: a handler, its processes and its feed.
struct Endpoint: Sendable {
  let handler: HostedHandler
  let processes: any HandlerProcesses
  /// Sends further events to the clients that the handler has accepted; nil if the endpoint has no live stream.
  var feed: LiveFeed?
}

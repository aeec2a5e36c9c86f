import Host

/// What a route leads to: a handler, its processes and its feed.
struct Endpoint: Sendable {
  let handler: HostedHandler
  let processes: any HandlerProcesses
  /// Sends more events to the clients that the handler has let in; nil where the reply is all.
  var feed: LiveFeed?
}

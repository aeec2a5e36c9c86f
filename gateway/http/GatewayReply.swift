import Contract

/// A reply to a client, with what the connection and the logs need to know about it.
struct GatewayReply: Sendable {
  var reply: Reply
  /// Nil where no handler was asked.
  var timing: RequestTiming?
  /// The rate limit that refused the request, where it is not that of the request's class.
  var quota: Quota?
  /// The client's subscription, where the reply begins a live stream.
  var subscription: LiveSubscription?
}

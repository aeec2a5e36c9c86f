import Contract

/// A reply to a client, with what the connection and the logs need for it.
struct GatewayReply: Sendable {
  var reply: Reply
  /// Nil if no handler was called.
  var timing: RequestTiming?
  /// The rate limit that refused the request, if it is not that of the request's class.
  var quota: Quota?
  /// The client's subscription, if the reply begins a live stream.
  var subscription: LiveSubscription?
  /// The bytes of a body that followed the reply.
  var sent = 0
}

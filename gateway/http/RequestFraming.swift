import Limits

/// What stands between the bytes of a connection and `HTTPConnection`: finds the requests in the bytes, and refuses
/// those that are malformed. On a violation it fires a parser error in the pipeline.
protocol RequestFraming: AnyObject {
  var violation: FramingScanner.Violation? { get }

  /// The client that the web server in front of the gateway names; nil if the client is the peer of the connection.
  var client: TrustedProxies.Peer? { get }

  /// The reply to the last request has been sent: the next request may come.
  func next()

  /// Nothing that the client sends from now on matters. It is read, because a client may read only after it has sent
  /// everything.
  func discard()
}

/// Fired in the pipeline at the first byte of a request.
struct RequestBegan: Sendable {}

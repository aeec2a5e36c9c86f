import Contract
import Host
import Wire

/// A request for a handler process.
struct HandlerRequest: Sendable {
  let handler: HostedHandler
  let route: Description.Route
  let host: String
  var message: Request
  /// Takes the body, if the handler's description says that it may follow the reply.
  var body: BodyStream?

  /// The same request with a unique id. Clients choose request ids, and two may choose the same one. The new id begins
  /// with up to 64 characters of the client's.
  var withUniqueID: HandlerRequest {
    var copy = self
    copy.message.requestID = String(message.requestID.prefix(64)) + "." + UUIDText.random().text
    return copy
  }

  /// Creates the envelope for the handler when a process takes the request. Its deadline is a little earlier than the
  /// gateway's, because the handler's own reply about a timeout is more specific than the gateway's.
  func envelope() -> [UInt8] {
    var message = message
    let limit = handler.description.timeLimitMs
    message.deadline = Instant(milliseconds: Instant.steady.milliseconds + limit - min(500, limit / 10))
    return message.envelope(routeKey: route.key, userAgent: message.headers["user-agent"] ?? "", host: host).bytes
  }
}

import Contract
import Host
import Wire

/// A request for a handler process.
struct HandlerRequest: Sendable {
  let handler: HostedHandler
  let route: Description.Route
  let host: String
  var message: Request

  /// The same request with an id that no other request has. Clients choose their ids, and two may choose the same one. The
  /// new id begins with the client's.
  var withUniqueID: HandlerRequest {
    var copy = self
    copy.message.requestID = String(message.requestID.prefix(64)) + "." + UUIDText.random().text
    return copy
  }

  /// The envelope for the handler, made when a process takes the request. Its deadline comes a little before the gateway's:
  /// the handler's own reply about a timeout says more than the gateway's.
  func envelope() -> [UInt8] {
    var message = message
    let limit = handler.description.timeLimitMs
    message.deadline = Instant(milliseconds: Instant.now.milliseconds + limit - min(500, limit / 10))
    return message.envelope(routeKey: route.key, userAgent: message.headers["user-agent"] ?? "", host: host).bytes
  }
}

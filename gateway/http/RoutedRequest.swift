import Contract
import Limits
import NIOCore

/// A request whose route is known, and whose body may be read.
struct RoutedRequest: Sendable {
  var request: HandlerRequest
  let endpoint: Endpoint
  /// The client's address; nil if it is unknown.
  let client: ClientAddress?
  let hasBody: Bool
  let bodyLimit: Int
  let expectsContinue: Bool
  /// The rate limit for which the request was counted in this gateway's memory.
  let quota: Quota?
  /// The decision of the limits that gateways share; nil if the gateway counts in its memory.
  var admission: EventLoopFuture<SharedLimiter.Admission>?

  var id: String { request.message.requestID }
}

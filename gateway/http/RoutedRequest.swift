import Contract
import Limits

/// A request whose route is known, and whose body may be read.
struct RoutedRequest: Sendable {
  var request: HandlerRequest
  let endpoint: Endpoint
  /// The client's address; nil if it is unknown.
  let client: ClientAddress?
  let hasBody: Bool
  let bodyLimit: Int
  let expectsContinue: Bool
  /// The rate limit for which the request was counted.
  let quota: Quota?

  var id: String { request.message.requestID }
}

import NIOCore

/// A reply whose body is being passed on, piece by piece.
final class FollowedReply {
  let stream: BodyStream
  let answer: GatewayReply
  let exchange: HTTPExchange
  /// The bytes that the system has taken for the client.
  var sent = 0
  /// True while a piece waits for the client.
  var isWriting = false
  /// When the client last took something.
  var takenAt = NIODeadline.now()

  init(_ stream: BodyStream, _ answer: GatewayReply, _ exchange: HTTPExchange) {
    (self.stream, self.answer, self.exchange) = (stream, answer, exchange)
  }
}

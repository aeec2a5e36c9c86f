import NIOCore

/// A reply whose body is being passed on, piece by piece.
final class FollowedReply {
  let stream: BodyStream
  let answer: GatewayReply
  let exchange: HTTPExchange
  /// The bytes that the system has taken for the client.
  private(set) var sent = 0
  /// True while a piece waits for the client.
  private var isWriting = false
  /// When the client last took something, or a piece began to wait for it.
  private var takenAt = NIODeadline.now()

  init(_ stream: BodyStream, _ answer: GatewayReply, _ exchange: HTTPExchange) {
    (self.stream, self.answer, self.exchange) = (stream, answer, exchange)
  }

  /// A piece begins to wait for the client.
  func begin(at now: NIODeadline) { (isWriting, takenAt) = (true, now) }

  /// The system has taken the piece.
  func took(_ bytes: Int, at now: NIODeadline) {
    sent += bytes
    (isWriting, takenAt) = (false, now)
  }

  /// True if a piece waits, and the client has not read since the last look, and for too long: for `limit`, or at all
  /// if all clients together leave too much unread.
  func isStalled(hasRead: Bool, isHigh: Bool, limit: TimeAmount, at now: NIODeadline) -> Bool {
    if hasRead { takenAt = now }
    return isWriting && !hasRead && (isHigh || now - takenAt >= limit)
  }
}

import CZlib
import Contract
import Host
import NIOCore
import NIOPosix

/// Compresses replies of the admin interface with gzip: a list of leads shrinks to a fifth, and people read it on phones.
///
/// Only what a GET returns as JSON. A handler whose reply has a secret says `Cache-Control: no-transform` (RFC 9111
/// §5.2.2.6), because the length of a compressed reply tells what a secret and a text chosen by an attacker have in
/// common (BREACH).
struct ReplyCompression: Sendable {
  /// Less fits in one packet anyway.
  static let least = 1024
  /// A larger body is compressed on another thread, so that the connections of the loop do not wait for it.
  static let mostOnLoop = 16_384
  /// Of zlib's 1 to 9. Higher levels take several times as long and save a few hundredths.
  private static let level: Int32 = 4

  private let isAccepted: Bool

  /// Nil if the reply to the request is never compressed.
  init?(_ request: RoutedRequest) {
    let message = request.request.message
    guard request.endpoint.handler.description.access == .admin, ["GET", "HEAD"].contains(message.method) else {
      return nil
    }
    isAccepted = AcceptedEncoding.takesGzip(message.headers["accept-encoding"])
  }

  /// Returns the answer compressed, or as it is. Caches are told in both cases that the encoding was a choice.
  func applied(to answer: GatewayReply, on loop: any EventLoop) -> EventLoopFuture<GatewayReply> {
    guard Self.isWorthwhile(answer.reply) else { return loop.makeSucceededFuture(answer) }
    var answer = answer
    answer.reply.headers["vary"] = "Accept-Encoding, Origin"
    guard isAccepted else { return loop.makeSucceededFuture(answer) }
    guard answer.reply.body.count > Self.mostOnLoop else {
      answer.reply = Self.compressed(answer.reply)
      return loop.makeSucceededFuture(answer)
    }
    return NIOThreadPool.singleton.runIfActive(eventLoop: loop) { [answer] in
      var answer = answer
      answer.reply = Self.compressed(answer.reply)
      return answer
    }
  }

  static func isWorthwhile(_ reply: Reply) -> Bool {
    reply.status == 200 && !reply.bodyFollows && reply.body.count >= least && reply.cookies.isEmpty
      && reply.headers["content-type"] == "application/json" && reply.headers["content-encoding"] == nil
      && reply.headers["vary"] == nil && reply.headers["cache-control"]?.contains("no-transform") != true
  }

  /// Returns the reply with its body in gzip's format, or unchanged if that is not smaller.
  static func compressed(_ reply: Reply) -> Reply {
    let bytes = [UInt8](unsafeUninitializedCapacity: reply.body.count) { buffer, count in
      count = reply.body.withUnsafeBufferPointer {
        leadpipe_gzip($0.baseAddress, $0.count, buffer.baseAddress, buffer.count, level)
      }
    }
    guard !bytes.isEmpty else { return reply }
    var reply = reply
    reply.body = bytes
    reply.headers["content-encoding"] = "gzip"
    // Other bytes must not have the same strong ETag (RFC 9110 §8.8.1). If-Match takes the weak one, against §13.1.1: it
    // names the row's version, whatever the encoding.
    if let etag = reply.headers["etag"], !etag.hasPrefix("W/") { reply.headers["etag"] = "W/" + etag }
    return reply
  }
}

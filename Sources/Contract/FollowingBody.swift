import Wire

/// A body that a handler writes piece by piece after the head of its reply, because it is too large for one document.
/// It is written once. A body that fails midway has sent a part of itself: the exit status, or the broken connection,
/// tells that it is not whole.
package final class FollowingBody: @unchecked Sendable {
  // Made and written on the one thread of a handler.

  /// Passes on the next piece. False if nobody reads any more: then the writer gives up.
  package typealias Sender = ([UInt8]) -> Bool
  /// Writes the body. Throws if it cannot be completed.
  package typealias Writer = (Sender) throws(Problem) -> Void

  private let writer: Writer

  package init(_ writer: @escaping Writer) { self.writer = writer }

  /// How writing ended.
  enum End: Equatable {
    case whole
    /// Nobody reads any more.
    case unwanted
    case failed(Problem)

    var exitStatus: Int32 {
      switch self {
      case .whole: 0
      case .unwanted: ExitStatus.unwritable
      case .failed(let problem): ExitStatus.of(status: problem.kind.status)
      }
    }
  }

  /// Writes the body to stdout.
  func write(log: Log) -> End {
    var isRead = true
    let end: End
    do throws(Problem) {
      try writer { piece in
        isRead = isRead && StandardOutput.write(piece)
        return isRead
      }
      end = isRead ? .whole : .unwanted
    } catch { end = isRead ? .failed(error) : .unwanted }
    if case .failed(let problem) = end { log.error("The body of the reply is not whole: \(problem.detail)") }
    return end
  }

  /// Returns the whole body if it has at most `limit` bytes, for an entry point that takes only whole replies.
  func collected(limit: Int) throws(Problem) -> [UInt8] {
    var bytes: [UInt8] = []
    var isTooLarge = false
    try writer { piece in
      isTooLarge = isTooLarge || bytes.count + piece.count > limit
      if !isTooLarge { bytes += piece }
      return !isTooLarge
    }
    guard !isTooLarge else { throw Problem(.replyTooLargeHere, ["max": limit]) }
    return bytes
  }
}

extension FollowingBody: Equatable {
  package static func == (one: FollowingBody, other: FollowingBody) -> Bool { one === other }
}

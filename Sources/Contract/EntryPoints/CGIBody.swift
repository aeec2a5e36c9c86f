import Wire

/// The body of a CGI request on stdin. It must be read or discarded before the reply is written: some servers drop the
/// reply of a program that has not read its input.
package struct CGIBody {
  /// The time for the body in milliseconds, as in the gateway.
  static let milliseconds = 15_000
  /// The time for a body that is not used, in milliseconds, and its largest size in bytes.
  private static let discardMilliseconds = 5000
  private static let discardLimit = 16_777_216

  private let length: Int
  private var isRead = false

  package init(of request: CGIRequest) { length = request.bodyLength ?? 0 }

  /// Reads the whole body. Stdin need not end after it.
  mutating func read() throws(Problem) -> [UInt8] {
    isRead = true
    switch StandardInput.read(exactly: length, until: Instant.steady.adding(milliseconds: Self.milliseconds)) {
    case .bytes(let bytes): return bytes
    case .late: throw Problem(.bodyTimeout)
    case .short: throw Problem(.malformedRequest, ["reason": "the body is shorter than Content-Length"])
    case .unreadable(let reason): throw .internalError(reason)
    }
  }

  /// Reads and drops a body that has not been read.
  package func discard() {
    guard !isRead else { return }
    let deadline = Instant.steady.adding(milliseconds: Self.discardMilliseconds)
    var left = min(length, Self.discardLimit)
    while left > 0, case .bytes = StandardInput.read(exactly: min(left, 65_536), until: deadline) { left -= 65_536 }
  }
}

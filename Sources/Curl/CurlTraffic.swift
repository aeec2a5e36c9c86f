import Wire

/// The data of one transfer. A class, because libcurl's callbacks get a pointer to it.
package final class CurlTraffic {
  /// Bytes. Longer replies are cut; no provider sends that much.
  package static let bodyLimit = 65_536
  /// Bytes. The limit of everything a server may send in one transfer: header lines, trailers and interim replies, the
  /// lines of a mail server, the body. libcurl keeps each header and trailer, and by itself it limits only headers.
  package static let totalLimit = 262_144
  private static let lineLimit = 64

  /// The bytes that are still to be sent.
  private var outgoing: ArraySlice<UInt8>
  package private(set) var body: [UInt8] = []
  /// HTTP header lines or SMTP reply lines, without line ends: the last 64, each at most 512 bytes.
  package private(set) var lines: [String] = []
  /// True if the transfer was ended because the server sent too much.
  package private(set) var isCut = false
  private var received = 0
  /// True if the headers of an HTTP reply, possibly an interim one, have arrived to their end.
  package private(set) var hasHead = false
  /// The code of the last complete reply of a mail server; 0 if there is none.
  package private(set) var replyCode = 0

  private let end: Instant
  private let bodyLimit: Int
  private let isEnough: (([UInt8]) -> Bool)?
  /// True if the transfer was ended because its body has what was waited for.
  package private(set) var hasEnough = false

  /// `isEnough` looks at the body after each part of it, and ends the transfer by returning true.
  ///
  /// `milliseconds` is the time limit of the transfer. libcurl enforces it itself, except while it waits for a mail
  /// server's reply to QUIT after a refused message: then the progress callback ends the wait.
  package init(
    sending outgoing: [UInt8] = [], milliseconds: Int, bodyLimit: Int = CurlTraffic.bodyLimit,
    isEnough: (([UInt8]) -> Bool)? = nil
  ) {
    self.outgoing = outgoing[...]
    self.bodyLimit = bodyLimit
    self.isEnough = isEnough
    end = Instant(milliseconds: Instant.steady.milliseconds + milliseconds)
  }

  /// Later than libcurl's own limit, whose error code is more specific.
  fileprivate var isOverdue: Bool { Instant.steady.milliseconds > end.milliseconds + 100 }

  fileprivate func receive(body bytes: UnsafeRawBufferPointer) -> Int {
    let room = bodyLimit - body.count
    body += bytes.prefix(room)
    if let isEnough, isEnough(body) {
      hasEnough = true
      return 0
    }
    return accept(bytes.count, isCut: bytes.count > room)
  }

  fileprivate func receive(line bytes: UnsafeRawBufferPointer) -> Int {
    let text = bytes.prefix(512).filter { $0 != 0x0D && $0 != 0x0A }
    if lines.count == Self.lineLimit { lines.removeFirst() }
    lines.append(String(decoding: text, as: UTF8.self))
    if text.count == 3 || text.dropFirst(3).first == 0x20 {
      replyCode = Int(strict: String(decoding: text.prefix(3), as: UTF8.self)) ?? replyCode
    }
    hasHead = text.isEmpty || hasHead && !text.starts(with: "HTTP/".utf8)
    return accept(bytes.count)
  }

  /// Counts received bytes. Returns their number, or 0 at a limit, which ends the transfer.
  private func accept(_ count: Int, isCut isBodyCut: Bool = false) -> Int {
    received += count
    isCut = isCut || isBodyCut || received > max(Self.totalLimit, 2 * bodyLimit)
    return isCut ? 0 : count
  }

  fileprivate func send(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let part = outgoing.prefix(buffer.count)
    buffer.copyBytes(from: part)
    outgoing = outgoing.dropFirst(part.count)
    return part.count
  }
}

// The callbacks. The context is never missing; if it were, returning 0 would end the transfer with an error.

private func traffic(_ context: UnsafeMutableRawPointer?) -> CurlTraffic? {
  context.map { Unmanaged<CurlTraffic>.fromOpaque($0).takeUnretainedValue() }
}

func receiveBody(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?)
  -> Int
{
  traffic(context)?.receive(body: UnsafeRawBufferPointer(start: bytes, count: size * count)) ?? 0
}

func receiveLine(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?)
  -> Int
{
  traffic(context)?.receive(line: UnsafeRawBufferPointer(start: bytes, count: size * count)) ?? 0
}

func sendBody(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?)
  -> Int
{
  traffic(context)?.send(into: UnsafeMutableRawBufferPointer(start: bytes, count: size * count)) ?? 0
}

func isOverdue(_ context: UnsafeMutableRawPointer?, _: Int, _: Int, _: Int, _: Int) -> Int32 {
  traffic(context)?.isOverdue == false ? 0 : 1
}

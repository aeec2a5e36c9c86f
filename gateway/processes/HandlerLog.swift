import Contract
import Glibc
import Host

/// Writes a handler's log lines into the gateway's log. Lines of our own handlers are written as they are. Lines of
/// foreign handlers are quoted under the handler's name, because they could imitate any line.
struct HandlerLog: Sendable {
  private let name: String
  private let isTrusted: Bool
  private let log: Log

  init(_ handler: HostedHandler, _ log: Log) {
    name = handler.description.name
    isTrusted = handler.isOurs
    self.log = log
  }

  /// Writes lines that end with a line feed.
  func write(_ lines: [[UInt8]]) {
    for line in lines {
      if isTrusted {
        // Control characters could change what a terminal shows of the log.
        let clean = line.dropLast().map { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F ? UInt8(ascii: "?") : $0 } + [0x0A]
        _ = clean.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
      } else {
        log.quote(line.dropLast(), of: name)
      }
    }
  }
}

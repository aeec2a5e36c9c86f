import Glibc
import Handler
import Host

/// Where the log of a handler goes: into ours. Lines of our own handlers are trusted to be what they look like; what others
/// write is quoted under their name, for it could look like anything.
struct HandlerLog: Sendable {
  private let name: String
  private let isTrusted: Bool
  private let log: Log

  init(_ handler: HostedHandler, _ log: Log) {
    name = handler.description.name
    isTrusted = handler.isOurs
    self.log = log
  }

  /// Lines with their line feeds.
  func pass(on lines: [[UInt8]]) {
    for line in lines {
      if isTrusted {
        // A control character could rewrite the terminal of whoever reads the log.
        let clean = line.dropLast().map { $0 < 0x20 && $0 != 0x09 || $0 == 0x7F ? UInt8(ascii: "?") : $0 } + [0x0A]
        _ = clean.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
      } else {
        log.quote(line.dropLast(), of: name)
      }
    }
  }
}

import Glibc

/// Writes a command's output unbuffered, whatever stdout is. Write errors, such as a closed pipe, are ignored.
enum Console {
  /// Writes to stdout.
  static func print(_ text: String) { _ = write(text, to: 1) }

  /// Writes to stderr.
  static func printError(_ text: String) { _ = write(text, to: 2) }

  /// True if all of the text was written.
  static func write(_ text: String, to descriptor: Int32) -> Bool { write(Array(text.utf8), to: descriptor) }

  /// True if all bytes were written; if not, errno holds the reason.
  static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 { rest = rest.dropFirst(count) } else if errno != EINTR { return false }
    }
    return true
  }
}

import Glibc

/// What the command says to its user: at once, whatever stdout is. A reader that is gone stops nothing.
enum Console {
  static func say(_ text: String) { _ = write(text, to: 1) }

  static func tell(_ text: String) { _ = write(text, to: 2) }

  /// True when all of it was written.
  static func write(_ text: String, to descriptor: Int32) -> Bool { write(Array(text.utf8), to: descriptor) }

  /// The same of bytes; on false errno says why.
  static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 { rest = rest.dropFirst(count) } else if errno != EINTR { return false }
    }
    return true
  }
}

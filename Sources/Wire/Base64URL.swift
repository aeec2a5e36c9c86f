/// Base64 with the alphabet for URLs and without padding (RFC 4648 §5, RFC 7515 §2).
package enum Base64URL {
  /// Decodes a string. Nil if it contains a character outside the alphabet, padding, or bits after the last byte that
  /// are not zero: two strings must not stand for the same bytes.
  package static func decode(_ text: some StringProtocol) -> [UInt8]? {
    var standard: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "-"): standard.append(UInt8(ascii: "+"))
      case UInt8(ascii: "_"): standard.append(UInt8(ascii: "/"))
      case UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "="): return nil
      default: standard.append(byte)
      }
    }
    guard standard.count % 4 != 1 else { return nil }
    let padding = [UInt8](repeating: UInt8(ascii: "="), count: (4 - standard.count % 4) % 4)
    let padded = String(decoding: standard + padding, as: UTF8.self)
    guard let bytes = Base64.decode(padded), Base64.encode(bytes) == padded else { return nil }
    return bytes
  }
}

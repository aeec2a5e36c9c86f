/// A UUID in its canonical lower-case text (RFC 9562 §4), the only form that leaves us.
package struct UUIDText: Sendable, Hashable {
  package let text: String

  /// Accepts 8-4-4-4-12 hexadecimal digits in either case; nil for everything else.
  package init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard bytes.count == 36 else { return nil }
    for (index, byte) in bytes.enumerated() {
      switch (index, byte) {
      case (8, UInt8(ascii: "-")), (13, UInt8(ascii: "-")), (18, UInt8(ascii: "-")), (23, UInt8(ascii: "-")): continue
      case (8, _), (13, _), (18, _), (23, _): return nil
      case (_, 0x30...0x39), (_, 0x41...0x46), (_, 0x61...0x66): continue
      default: return nil
      }
    }
    self.text = text.lowercased()
  }

  /// A random one, version 4.
  package static func random() -> UUIDText {
    var bytes = (0..<16).map { _ in UInt8.random(in: .min ... .max) }
    bytes[6] = bytes[6] & 0x0F | 0x40
    bytes[8] = bytes[8] & 0x3F | 0x80
    let hex = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
    return UUIDText(
      unchecked: [hex[0..<4], hex[4..<6], hex[6..<8], hex[8..<10], hex[10..<16]].map { $0.joined() }
        .joined(separator: "-"))
  }

  private init(unchecked text: String) { self.text = text }
}

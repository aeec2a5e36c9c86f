/// A UUID in canonical lower-case form (RFC 9562 §4). This is the only form that Leadpipe emits.
package struct UUIDText: Sendable, Hashable {
  package let text: String

  /// Accepts 8-4-4-4-12 hexadecimal digits in either case. Nil for everything else.
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
    self.text = bytes.contains { 0x41...0x46 ~= $0 } ? text.lowercased() : text
  }

  /// Returns a random UUID, version 4.
  package static func random() -> UUIDText {
    let high = UInt64.random(in: .min ... .max) & 0xFFFF_FFFF_FFFF_0FFF | 0x4000
    let low = UInt64.random(in: .min ... .max) & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    let digits = StaticString("0123456789abcdef").utf8Start
    var text: [UInt8] = []
    text.reserveCapacity(36)
    for index in 0..<32 {
      if index == 8 || index == 12 || index == 16 || index == 20 { text.append(UInt8(ascii: "-")) }
      let half = index < 16 ? high : low
      text.append(digits[Int(half >> (60 - 4 * UInt64(index % 16)) & 0xF)])
    }
    return UUIDText(unchecked: String(decoding: text, as: UTF8.self))
  }

  private init(unchecked text: String) { self.text = text }
}

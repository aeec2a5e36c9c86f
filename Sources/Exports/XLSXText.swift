/// The text of a cell as a spreadsheet file can hold it: UTF-8 that ends with NUL, for C.
struct XLSXText {
  /// How many UTF-16 code units a cell of Excel holds.
  static let limit = 32_767

  private(set) var bytes: [UInt8] = []

  /// Takes over a text. Characters that XML cannot hold become U+FFFD, CR and CRLF become LF. A text that is too long is
  /// cut and ends with `…`.
  mutating func set(_ text: UnsafeBufferPointer<UInt8>) {
    bytes.removeAll(keepingCapacity: true)
    defer { bytes.append(0) }
    // An escaped underscore is the longest replacement, of seven characters by thirteen.
    let mayBeTooLong = text.count > Self.limit / 2
    if !mayBeTooLong, text.allSatisfy(Self.isPlain) { return bytes.append(contentsOf: text) }
    var units = 0
    // The bytes that are kept if the text is cut, which leaves room for the mark.
    var kept = 0
    var index = 0
    while index < text.count {
      let next = min(index + Self.length(text[index]), text.count)
      let start = bytes.count
      append(text, index, next)
      index = next
      guard mayBeTooLong else { continue }
      units += bytes[start...].reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : $1 >= 0xF0 ? 2 : 1) }
      if units < Self.limit { kept = bytes.count }
      if units > Self.limit {
        bytes.removeSubrange(kept...)
        return bytes.append(contentsOf: "…".utf8)
      }
    }
  }

  /// False for a byte that may need a replacement.
  private static func isPlain(_ byte: UInt8) -> Bool {
    byte >= 0x20 ? byte != UInt8(ascii: "_") && byte != 0xEF : byte == 0x09 || byte == 0x0A
  }

  /// True if the text is a web address as a whole that can be a link: http or https, in ASCII, and at most 2,000 bytes
  /// long once the library has escaped brackets and percent signs with three bytes each. It refuses longer ones.
  static func isWebAddress(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    guard text.count <= 2000, text.count + 2 * text.count(where: { "[]%".utf8.contains($0) }) <= 2000 else {
      return false
    }
    for scheme in ["http://", "https://"] where text.count > scheme.utf8.count && text.starts(with: scheme.utf8) {
      return text.allSatisfy { 0x21...0x7E ~= $0 && !"\"<>\\^`{|}".utf8.contains($0) }
        && text[scheme.utf8.count] != UInt8(ascii: "/")
    }
    return false
  }

  /// True if the text is an email address that means nothing else in a `mailto:` link.
  static func isPlainEmail(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
    guard text.count <= 254, let at = text.firstIndex(of: UInt8(ascii: "@")), at > 0, at < text.count - 1 else {
      return false
    }
    return text.enumerated().allSatisfy { index, byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "+"),
        UInt8(ascii: "-"):
        true
      default: index == at
      }
    }
  }

  /// Appends the character at `index`, whose bytes end before `next`.
  private mutating func append(_ text: UnsafeBufferPointer<UInt8>, _ index: Int, _ next: Int) {
    switch text[index] {
    case 0x0D: if next == text.count || text[next] != 0x0A { bytes.append(0x0A) }
    case 0x09, 0x0A: bytes.append(text[index])
    case 0x00..<0x20: bytes += Self.replacement
    case UInt8(ascii: "_") where Self.isEscape(text, at: index): bytes += Self.escapedUnderscore
    case 0xEF where next - index == 3 && text[index + 1] == 0xBF && text[index + 2] >= 0xBE: bytes += Self.replacement
    default: bytes.append(contentsOf: text[index..<next])
    }
  }

  /// The number of bytes of a character in UTF-8, by its first byte.
  private static func length(_ byte: UInt8) -> Int { byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4 }

  /// True for `_xHHHH_`, which a reader of XLSX takes for a character.
  private static func isEscape(_ text: UnsafeBufferPointer<UInt8>, at index: Int) -> Bool {
    guard index + 6 < text.count, text[index + 1] == UInt8(ascii: "x"), text[index + 6] == UInt8(ascii: "_") else {
      return false
    }
    return text[(index + 2)..<(index + 6)].allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
        UInt8(ascii: "A")...UInt8(ascii: "F"):
        true
      default: false
      }
    }
  }

  private static let replacement = Array("\u{FFFD}".utf8)
  private static let escapedUnderscore = Array("_x005F_".utf8)
}

extension PostedForm {
  /// Reads `application/x-www-form-urlencoded` as the WHATWG URL standard does (§5.1): `+` is a space, an escape that is
  /// no escape stays as it is, and broken UTF-8 becomes U+FFFD.
  package init(urlEncoded body: [UInt8]) throws(PostedFormError) {
    self.init()
    for field in body.split(separator: 0x26) {
      let name = field.prefix { $0 != 0x3D }
      try add(name: Self.decoded(name), value: Self.decoded(field.dropFirst(name.count + 1)))
    }
  }

  private static func decoded(_ text: ArraySlice<UInt8>) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count)
    var index = text.startIndex
    while index < text.endIndex {
      let byte = text[index]
      if byte == 0x25, index + 2 < text.endIndex, let high = digit(text[index + 1]), let low = digit(text[index + 2]) {
        bytes.append(high << 4 | low)
        index += 3
      } else {
        bytes.append(byte == 0x2B ? 0x20 : byte)
        index += 1
      }
    }
    return bytes
  }

  static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x41 + 10
    case 0x61...0x66: byte - 0x61 + 10
    default: nil
    }
  }
}

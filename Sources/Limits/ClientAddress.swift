/// The address of a client (RFC 791, RFC 4291), independent of notation: `::ffff:192.0.2.1` equals `192.0.2.1`.
package enum ClientAddress: Sendable, Hashable {
  case v4(UInt32)
  /// The upper half identifies the network; the lower half identifies the host in it.
  case v6(UInt64, UInt64)

  /// Reads a bare address: dotted decimals without leading zeros, or hexadecimal groups with at most one `::`. Nil for
  /// anything else, such as a port, a zone or spaces.
  package init?(_ text: some StringProtocol) {
    let bytes = Array(text.utf8)
    if let address = Self.dotted(bytes[...]) {
      self = .v4(address)
    } else if let groups = Self.groups(bytes) {
      self.init(groups: groups)
    } else {
      return nil
    }
  }

  /// Reads an address as proxies write it: a bare address, `[v6]`, or one with a port as `v4:port` or `[v6]:port`.
  package init?(withPort text: some StringProtocol) {
    let bytes = Array(text.utf8)
    if bytes.first == UInt8(ascii: "[") {
      guard let end = bytes.firstIndex(of: UInt8(ascii: "]")), Self.isPort(bytes[(end + 1)...]),
        let groups = Self.groups(Array(bytes[1..<end]))
      else { return nil }
      self.init(groups: groups)
    } else if let colon = bytes.firstIndex(of: UInt8(ascii: ":")), let address = Self.dotted(bytes[..<colon]) {
      guard Self.isPort(bytes[colon...]) else { return nil }
      self = .v4(address)
    } else {
      self.init(text)
    }
  }

  private init(groups: [UInt16]) {
    let halves = [groups[..<4], groups[4...]].map { $0.reduce(0) { $0 << 16 | UInt64($1) } }
    if halves[0] == 0, halves[1] >> 32 == 0xFFFF {
      self = .v4(UInt32(truncatingIfNeeded: halves[1]))
    } else {
      self = .v6(halves[0], halves[1])
    }
  }

  /// True for an empty string, or a colon and a port.
  private static func isPort(_ bytes: ArraySlice<UInt8>) -> Bool {
    guard let colon = bytes.first else { return true }
    return colon == UInt8(ascii: ":") && Digits.number(bytes.dropFirst()).map { $0 <= 65_535 } == true
  }

  private static func dotted(_ bytes: ArraySlice<UInt8>) -> UInt32? {
    let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var address: UInt32 = 0
    for part in parts {
      guard let number = Digits.number(part), number <= 255 else { return nil }
      address = address << 8 | UInt32(number)
    }
    return address
  }

  /// Returns the eight groups. `::` stands for one or more zero groups, and the last two groups may be dotted (RFC 4291
  /// §2.2).
  private static func groups(_ bytes: [UInt8]) -> [UInt16]? {
    let colon = UInt8(ascii: ":")
    guard let gap = bytes.indices.dropLast().first(where: { bytes[$0] == colon && bytes[$0 + 1] == colon }) else {
      return list(bytes[...], mayBeDotted: true).flatMap { $0.count == 8 ? $0 : nil }
    }
    guard let left = list(bytes[..<gap], mayBeDotted: false), let right = list(bytes[(gap + 2)...], mayBeDotted: true),
      left.count + right.count < 8
    else { return nil }
    return left + [UInt16](repeating: 0, count: 8 - left.count - right.count) + right
  }

  /// Returns groups separated by colons. An empty string gives no groups.
  private static func list(_ bytes: ArraySlice<UInt8>, mayBeDotted: Bool) -> [UInt16]? {
    if bytes.isEmpty { return [] }
    let parts = bytes.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    guard parts.count <= 8 else { return nil }
    var groups: [UInt16] = []
    for (index, part) in parts.enumerated() {
      if mayBeDotted, index == parts.count - 1, let address = dotted(part) {
        groups += [UInt16(address >> 16), UInt16(truncatingIfNeeded: address)]
      } else {
        guard let group = hexadecimal(part) else { return nil }
        groups.append(group)
      }
    }
    return groups
  }

  private static func hexadecimal(_ part: ArraySlice<UInt8>) -> UInt16? {
    guard 1...4 ~= part.count else { return nil }
    var value: UInt16 = 0
    for byte in part {
      switch byte {
      case 0x30...0x39: value = value << 4 | UInt16(byte - 0x30)
      case 0x41...0x46: value = value << 4 | UInt16(byte - 0x41 + 10)
      case 0x61...0x66: value = value << 4 | UInt16(byte - 0x61 + 10)
      default: return nil
      }
    }
    return value
  }
}

extension ClientAddress {
  /// The canonical notation (RFC 5952): lower case, no leading zeros, and `::` for the longest run of zero groups.
  package var text: String {
    switch self {
    case .v4(let address): return (0..<4).map { String(address >> UInt32(24 - 8 * $0) & 0xFF) }.joined(separator: ".")
    case .v6(let upper, let lower):
      let groups = [upper, lower].flatMap { half in (0..<4).map { half >> UInt64(48 - 16 * $0) & 0xFFFF } }
      var run = 0..<0
      var start = 0
      while start < 8 {
        let end = groups[start...].firstIndex { $0 != 0 } ?? 8
        if end - start > max(run.count, 1) { run = start..<end }
        start = max(end, start + 1)
      }
      let words = groups.map { String($0, radix: 16) }
      guard !run.isEmpty else { return words.joined(separator: ":") }
      return words[..<run.lowerBound].joined(separator: ":") + "::" + words[run.upperBound...].joined(separator: ":")
    }
  }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same numbers on every machine. Swift's own `random(in:using:)`, `shuffled`
/// and `randomElement` may draw differently in its next version, so nothing here uses them.
struct SplitMix64 {
  private var state: UInt64

  /// A sequence of its own for each `number` under one seed: what one sample draws moves no other.
  init(seed: UInt64, number: Int) {
    var source = SplitMix64(state: seed)
    state = source.next() ^ UInt64(truncatingIfNeeded: number)
    state = next()
  }

  private init(state: UInt64) { self.state = state }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var bits = state
    bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
    bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
    return bits ^ (bits >> 31)
  }

  /// 0 to `limit` - 1.
  mutating func below(_ limit: Int) -> Int { Int(next().multipliedFullWidth(by: UInt64(limit)).high) }

  mutating func within(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }

  /// True `percent` times in a hundred.
  mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

  /// One of `items`, which are not empty.
  mutating func pick<Item>(_ items: [Item]) -> Item { items[below(items.count)] }

  /// One of `items`, each as often as its weight says.
  mutating func pick<Item>(weighted items: [(weight: Int, item: Item)]) -> Item {
    var rest = below(items.reduce(0) { $0 + $1.weight })
    var index = 0
    while rest >= items[index].weight {
      rest -= items[index].weight
      index += 1
    }
    return items[index].item
  }

  /// So many decimal digits.
  mutating func digits(_ count: Int) -> String { (0..<count).reduce(into: "") { text, _ in text += String(below(10)) } }

  /// A UUID with the marks of version 4 (RFC 9562 §5.4).
  mutating func uuid() -> String {
    var digits = hex(next()) + hex(next())
    digits[12] = UInt8(ascii: "4")
    digits[16] = pick(Array("89ab".utf8))
    let parts = [digits[0..<8], digits[8..<12], digits[12..<16], digits[16..<20], digits[20..<32]]
    return parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "-")
  }
}

/// Sixteen hexadecimal digits in lower case.
func hex(_ bits: UInt64) -> [UInt8] {
  stride(from: 60, through: 0, by: -4).map { Array("0123456789abcdef".utf8)[Int(bits >> UInt64($0) & 0xF)] }
}

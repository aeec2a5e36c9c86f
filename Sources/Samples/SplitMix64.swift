/// SplitMix64 (Steele, Lea and Flood, 2014): the same numbers on every machine. Swift's `random(in:using:)`, `shuffled`
/// and `randomElement` are not used, because their results may change in another version of Swift.
struct SplitMix64 {
  private var state: UInt64

  /// Starts an independent sequence for each `number` with the same seed, so that samples do not affect each other.
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

  /// Returns a number from 0 to `limit` - 1.
  mutating func below(_ limit: Int) -> Int { Int(next().multipliedFullWidth(by: UInt64(limit)).high) }

  mutating func within(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }

  /// Returns true with a probability of `percent` in a hundred.
  mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

  /// Returns one of `items`, which must not be empty.
  mutating func pick<Item>(_ items: [Item]) -> Item { items[below(items.count)] }

  /// Returns one of `items`, with probabilities in proportion to their weights.
  mutating func pick<Item>(weighted items: [(weight: Int, item: Item)]) -> Item {
    var rest = below(items.reduce(0) { $0 + $1.weight })
    var index = 0
    while rest >= items[index].weight {
      rest -= items[index].weight
      index += 1
    }
    return items[index].item
  }

  /// Returns `count` decimal digits.
  mutating func digits(_ count: Int) -> String { (0..<count).reduce(into: "") { text, _ in text += String(below(10)) } }

  /// Returns a UUID of version 4 (RFC 9562 §5.4).
  mutating func uuid() -> String {
    var digits = hex(next()) + hex(next())
    digits[12] = UInt8(ascii: "4")
    digits[16] = pick(Array("89ab".utf8))
    let parts = [digits[0..<8], digits[8..<12], digits[12..<16], digits[16..<20], digits[20..<32]]
    return parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "-")
  }
}

/// Returns sixteen hexadecimal digits in lower case.
func hex(_ bits: UInt64) -> [UInt8] {
  stride(from: 60, through: 0, by: -4).map { Array("0123456789abcdef".utf8)[Int(bits >> UInt64($0) & 0xF)] }
}

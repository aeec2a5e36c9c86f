import Glibc
import Synchronization

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

  /// The id of nothing (RFC 9562 §5.9).
  package static let zero = UUIDText(unchecked: "00000000-0000-0000-0000-000000000000")

  private init(unchecked text: String) { self.text = text }

  /// Returns a random UUID, version 4 (RFC 9562 §5.4), for what must not be guessed or show its time.
  package static func random() -> UUIDText { UUIDText(high: randomBits() & ~0xF000 | 0x4000, low: randomBits()) }

  /// Returns a UUID of version 7 (RFC 9562 §5.7): the time in milliseconds, a fraction of 1/4096 ms, and 62 random bits.
  /// Each is greater than all that this process has made before. It shows when it was made.
  package static func ordered() -> UUIDText {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    let (seconds, nanoseconds) = (UInt64(max(time.tv_sec, 0)), UInt64(time.tv_nsec))
    let now = (seconds * 1000 + nanoseconds / 1_000_000) << 12 | (nanoseconds % 1_000_000) * 4096 / 1_000_000
    let (tick, low) = source.withLock { source in
      source.lastTick = max(now, source.lastTick &+ 1)
      return (source.lastTick, source.bits())
    }
    return UUIDText(high: (tick >> 12) << 16 | 0x7000 | tick & 0xFFF, low: low)
  }

  /// What ids of version 7 are made from.
  private struct Source {
    var lastTick: UInt64 = 0
    /// Random bits for the next ids. They are asked for together, because each question is a system call.
    private var supply: [UInt64] = []

    mutating func bits() -> UInt64 {
      if let bits = supply.popLast() { return bits }
      supply = [UInt64](repeating: 0, count: 16)
      let isFilled = supply.withUnsafeMutableBytes { getentropy($0.baseAddress, $0.count) == 0 }
      if !isFilled { supply.removeAll() }
      return supply.popLast() ?? randomBits()
    }
  }

  private static let source = Mutex(Source())

  private static func randomBits() -> UInt64 { .random(in: .min ... .max) }

  /// - Parameters:
  ///   - high: the first 64 bits.
  ///   - low: the others, of which the variant replaces two.
  private init(high: UInt64, low: UInt64) {
    let low = low & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    let digits = StaticString("0123456789abcdef").utf8Start
    text = String(unsafeUninitializedCapacity: 36) { bytes in
      var place = 0
      for index in 0..<32 {
        if index == 8 || index == 12 || index == 16 || index == 20 {
          bytes[place] = UInt8(ascii: "-")
          place += 1
        }
        let half = index < 16 ? high : low
        bytes[place] = digits[Int(half >> (60 - 4 * UInt64(index % 16)) & 0xF)]
        place += 1
      }
      return 36
    }
  }
}

/// The last eight bytes of a gzip file: checksum and size of its content (RFC 1952 §2.3.1). They tell whether a
/// compressed copy belongs to a file, without decompressing it.
struct GzipTrailer: Equatable {
  private let checksum: UInt32
  private let size: UInt32

  /// The trailer that a gzip file of `content` has.
  init(of content: [UInt8]) {
    checksum = ~content.reduce(~0) { Self.table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ $0 >> 8 }
    size = UInt32(truncatingIfNeeded: content.count)
  }

  /// Nil if the bytes are not a gzip file.
  init?(reading file: [UInt8]) {
    guard file.count >= 18, file[0] == 0x1F, file[1] == 0x8B else { return nil }
    let number = { (from: Int) in file[from..<from + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) } }
    (checksum, size) = (number(file.count - 8), number(file.count - 4))
  }

  private static let table: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ value >> 1 : value >> 1 }
  }
}

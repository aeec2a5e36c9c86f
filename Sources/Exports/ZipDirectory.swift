/// What the directory at the end of a ZIP file says about its parts.
struct ZipDirectory {
  /// The sizes of the parts before compression, by their names.
  private(set) var sizes: [String: Int] = [:]

  /// Reads the directory of a file without a comment, as libxlsxwriter writes it. Throws if it is not complete.
  init(of file: ExportFile) throws(ExportFailure) {
    let size = file.size
    let end = try file.read(Self.endLength, at: max(size - Self.endLength, 0))
    guard end.count == Self.endLength, Self.number(end, 0, 4) == 0x0605_4B50 else { throw Self.torn }
    // The size of the directory: even with parts of more than 4 GB it has a few hundred bytes.
    let length = Self.number(end, 12, 4)
    let count = Self.number(end, 10, 2)
    let begin = try Self.begin(file, size, end)
    let bytes = try file.read(min(length, 1 << 20), at: begin)
    var place = 0
    for _ in 0..<count {
      guard place + 46 <= bytes.count, Self.number(bytes, place, 4) == 0x0201_4B50 else { throw Self.torn }
      let (name, extra) = (Self.number(bytes, place + 28, 2), Self.number(bytes, place + 30, 2))
      let next = place + 46 + name + extra + Self.number(bytes, place + 32, 2)
      guard next <= bytes.count else { throw Self.torn }
      let word = String(decoding: bytes[(place + 46)..<(place + 46 + name)], as: UTF8.self)
      var part = Self.number(bytes, place + 24, 4)
      // The first value of the field for sizes of more than 4 GB.
      if part == 0xFFFF_FFFF, extra >= 12 { part = Self.number(bytes, place + 46 + name + 4, 8) }
      sizes[word] = part
      place = next
    }
  }

  /// Where the directory begins: for a file of more than 4 GB, another record says so.
  private static func begin(_ file: ExportFile, _ size: Int, _ end: [UInt8]) throws(ExportFailure) -> Int {
    let begin = number(end, 16, 4)
    guard begin == 0xFFFF_FFFF else { return begin }
    let locator = try file.read(20, at: size - endLength - 20)
    guard locator.count == 20, number(locator, 0, 4) == 0x0706_4B50 else { throw torn }
    let record = try file.read(56, at: number(locator, 8, 8))
    guard record.count == 56, number(record, 0, 4) == 0x0606_4B50 else { throw torn }
    return number(record, 48, 8)
  }

  private static let endLength = 22
  private static let torn = ExportFailure(reason: "the file is not complete")

  /// A number of `count` bytes, the lowest first. Too large ones are cut: no file has them.
  private static func number(_ bytes: [UInt8], _ at: Int, _ count: Int) -> Int {
    guard at >= 0, at + count <= bytes.count else { return 0 }
    return bytes[at..<(at + count)].reversed().reduce(0) { ($0 & 0x7F_FFFF_FFFF_FFFF) << 8 | Int($1) }
  }
}

/// The beginning of what pg_restore writes for a section. Since PostgreSQL 17 it sets `transaction_timeout`, which is an
/// error on an earlier server, so the statement is left out there.
struct SectionHeader {
  /// nil once the beginning was passed on.
  private var held: [UInt8]?

  /// The header has less than 1,000 bytes.
  private static let length = 4096
  private static let statement = Array("\nSET transaction_timeout = 0;\n".utf8)

  /// - Parameter server: the major version of the server that runs the script.
  init(server: Int) { held = server < 17 ? [] : nil }

  /// Takes the next bytes of a section, and returns what is to be passed on.
  mutating func take(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    guard let before = held else { return bytes }
    held = before + bytes
    return (before.count + bytes.count < Self.length) ? [] : rest
  }

  /// What is still held. To be passed on at the end of the section.
  var rest: ArraySlice<UInt8> {
    mutating get {
      guard var bytes = held else { return [] }
      held = nil
      if let found = bytes.prefix(Self.length).firstRange(of: Self.statement) {
        bytes.replaceSubrange(found, with: "\n".utf8)
      }
      return bytes[...]
    }
  }
}

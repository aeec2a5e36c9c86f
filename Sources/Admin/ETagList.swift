/// The value of an If-Match header (RFC 9110 §13.1.1).
package enum ETagList: Equatable {
  /// `*`: any version.
  case any
  /// The versions, without quotes.
  case versions([String])

  /// Reads `*`, or ETags separated by commas. Empty items are ignored, as RFC 9110 §5.6.1 requires. Nil for anything
  /// else.
  ///
  /// A proxy that compresses turns an ETag into a weak one; it is still the same version, so `W/` is ignored.
  package init?(_ header: String) {
    let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
    var rest = Array(header.utf8)[...]
    var versions: [String] = []
    while true {
      rest = rest.drop { isBlank($0) || $0 == UInt8(ascii: ",") }
      guard let first = rest.first else { break }
      if first == UInt8(ascii: "*") {
        guard versions.isEmpty, rest.dropFirst().allSatisfy(isBlank) else { return nil }
        self = .any
        return
      }
      if rest.starts(with: "W/".utf8) { rest = rest.dropFirst(2) }
      guard rest.first == UInt8(ascii: "\"") else { return nil }
      let tag = rest.dropFirst().prefix { $0 == 0x21 || 0x23...0x7E ~= $0 }
      rest = rest.dropFirst(1 + tag.count)
      guard !tag.isEmpty, rest.first == UInt8(ascii: "\"") else { return nil }
      rest = rest.dropFirst().drop(while: isBlank)
      guard rest.isEmpty || rest.first == UInt8(ascii: ",") else { return nil }
      versions.append(String(decoding: tag, as: UTF8.self))
    }
    guard !versions.isEmpty else { return nil }
    self = .versions(versions)
  }
}

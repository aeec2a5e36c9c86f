/// An id as a person types it: a UUID, or its first hexadecimal digits, at least four. Hyphens are optional.
package struct IDPrefix: Sendable, Equatable {
  /// Lower-case hexadecimal digits, without hyphens.
  package let digits: String

  package init?(_ text: String) {
    let digits = text.lowercased().filter { $0 != "-" }
    guard 4...32 ~= digits.utf8.count, digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 || 0x61...0x66 ~= $0 }) else {
      return nil
    }
    self.digits = digits
  }

  /// The whole id in canonical form; nil if digits are missing.
  package var id: String? {
    guard digits.utf8.count == 32 else { return nil }
    var rest = Substring(digits)
    return [8, 4, 4, 4, 12].map { count in
      defer { rest = rest.dropFirst(count) }
      return String(rest.prefix(count))
    }.joined(separator: "-")
  }

  /// The beginning of an id that tables show: 16 digits without hyphens. The first twelve of an id of version 7 are its
  /// time, which rows that were made together share.
  package static func shown(_ id: some StringProtocol) -> String { String(id.filter { $0 != "-" }.prefix(16)) }
}

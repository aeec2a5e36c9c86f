import CPostgres

/// A connection string as libpq reads it, without its defaults.
package struct ConnectionString: Sendable {
  /// The values by libpq's names: `host`, `port`, `user`
  /// (https://www.postgresql.org/docs/15/libpq-connect.html, 34.1.2).
  package let words: [String: String]

  /// Nil if libpq cannot read it.
  package init?(_ text: String) {
    guard let options = PQconninfoParse(text, nil) else { return nil }
    defer { PQconninfoFree(options) }
    var words: [String: String] = [:]
    var next = options
    while let keyword = next.pointee.keyword {
      if let value = next.pointee.val { words[String(cString: keyword)] = String(cString: value) }
      next += 1
    }
    self.words = words
  }

  package subscript(_ name: String) -> String? { words[name] }
}

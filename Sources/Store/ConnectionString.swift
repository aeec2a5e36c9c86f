import CPostgres

/// A connection string as libpq reads it, without its defaults.
package struct ConnectionString: Sendable {
  /// The values by libpq's names: `host`, `port`, `user`
  /// (https://www.postgresql.org/docs/15/libpq-connect.html, 34.1.2).
  package let words: [String: String]
  /// The same values by the names of libpq's environment variables: `PGHOST`, `PGPASSWORD` (34.15).
  package let environment: [String: String]
  /// The values, by libpq's names, that no environment variable can have: `keepalives`, `sslpassword`.
  package let withoutVariable: [String: String]

  /// Nil if libpq cannot read it.
  package init?(_ text: String) {
    guard let options = PQconninfoParse(text, nil) else { return nil }
    defer { PQconninfoFree(options) }
    var (words, environment, withoutVariable): ([String: String], [String: String], [String: String]) = ([:], [:], [:])
    var next = options
    while let keyword = next.pointee.keyword {
      if let value = next.pointee.val.map({ String(cString: $0) }) {
        words[String(cString: keyword)] = value
        if let variable = next.pointee.envvar {
          environment[String(cString: variable)] = value
        } else {
          withoutVariable[String(cString: keyword)] = value
        }
      }
      next += 1
    }
    self.words = words
    self.environment = environment
    self.withoutVariable = withoutVariable
  }

  package subscript(_ name: String) -> String? { words[name] }
}

/// A column of an export.
package struct ExportColumn: Sendable, Equatable {
  /// What its cells hold. A format may write them in a type of its own. An email address, and a text that may be a web
  /// address as a whole, can become links.
  package enum Kind: Sendable {
    case text, number, time, flag, email, link

    /// True for text that people have typed. The others are words of the database.
    var isTyped: Bool { self == .text || self == .email || self == .link }
  }

  package let name: String
  package let kind: Kind

  package init(_ name: String, _ kind: Kind = .text) {
    self.name = name
    self.kind = kind
  }

  /// The column's heading. The one of a column with times includes their zone.
  package func heading(zone: String) -> String { kind == .time ? "\(name) (\(zone))" : name }
}

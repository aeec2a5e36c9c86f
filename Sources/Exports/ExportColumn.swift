/// A column of an export.
package struct ExportColumn: Sendable, Equatable {
  /// What its cells hold. A format may write them in a type of its own.
  package enum Kind: Sendable { case text, number, time, flag }

  package let name: String
  package let kind: Kind

  package init(_ name: String, _ kind: Kind = .text) {
    self.name = name
    self.kind = kind
  }
}

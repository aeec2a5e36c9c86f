/// A library of a format, or a font, is not installed.
package struct MissingLibrary: Error, Sendable {
  package let reason: String
}

/// A file could not be made.
package struct ExportFailure: Error, Sendable {
  package let reason: String

  package init(reason: String) { self.reason = reason }
}

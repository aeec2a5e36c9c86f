/// A file could not be made, perhaps because a library of its format or a font is not installed.
package struct ExportFailure: Error, Sendable {
  package let reason: String

  package init(reason: String) { self.reason = reason }
}

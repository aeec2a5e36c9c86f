/// Writes the rows of one file. The caller takes the bytes away as it goes, so that a file of any length needs little
/// memory.
package protocol ExportWriter {
  /// The bytes that are complete and have not been taken.
  var bytes: [UInt8] { get }

  /// Writes what comes before the rows. `zone` is the time zone of all times.
  mutating func begin(_ columns: [ExportColumn], zone: String)
  /// Writes the next cell of a row, from its text in UTF-8; nil for an empty one. A time is `2026-11-28 21:30:00`.
  mutating func add(_ text: UnsafeBufferPointer<UInt8>?, _ kind: ExportColumn.Kind)
  mutating func endRow()
  /// Writes what comes after the last row.
  mutating func finish()
  /// Returns `bytes` and forgets them.
  mutating func take() -> [UInt8]
}

import Wire

/// The value of a form field. Its `document` is its normalised JSON, as the database functions expect it.
package protocol FormValue: Sendable {
  var document: JSON { get }
}

extension String: FormValue { package var document: JSON { .string(self) } }
extension Int: FormValue { package var document: JSON { JSON(self) } }
extension Bool: FormValue { package var document: JSON { .bool(self) } }
extension UUIDText: FormValue { package var document: JSON { .string(text) } }
extension Instant: FormValue { package var document: JSON { .string(iso8601) } }
extension EmailAddress: FormValue { package var document: JSON { .string(text) } }
extension WebAddress: FormValue { package var document: JSON { .string(text) } }
extension ClosedRange: FormValue where Bound == Int {
  package var document: JSON { ["min": JSON(lowerBound), "max": JSON(upperBound)] }
}
extension Array: FormValue where Element: FormValue { package var document: JSON { .array(map(\.document)) } }

/// A document that Swift code does not interpret. It is kept as received.
extension JSON: FormValue { package var document: JSON { self } }

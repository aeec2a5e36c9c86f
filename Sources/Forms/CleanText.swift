@_spi(_Unicode) import Swift

/// Text that people typed, made harmless and kept whole: control characters other than line feed and tab, and overrides
/// of the writing direction, are removed; CRLF and CR become LF; blanks at both ends go; what is left is in NFC.
package func cleanText(_ text: String) -> String {
  // Most texts are clean: printing ASCII without a blank at an end.
  let utf8 = text.utf8
  if utf8.allSatisfy({ 0x20..<0x7F ~= $0 }), utf8.first != 0x20, utf8.last != 0x20 { return text }
  var scalars = String.UnicodeScalarView()
  var previous: Unicode.Scalar = " "
  for scalar in text.unicodeScalars {
    switch scalar.value {
    case 0x0D: scalars.append("\n")
    case 0x0A: if previous != "\r" { scalars.append(scalar) }
    case 0x09: scalars.append(scalar)
    case 0..<0x20, 0x7F..<0xA0, 0x202A...0x202E, 0x2066...0x2069: break
    default: scalars.append(scalar)
    }
    previous = scalar
  }
  let isBlank = { (scalar: Unicode.Scalar) in scalar.properties.isWhitespace }
  guard let first = scalars.firstIndex(where: { !isBlank($0) }), let last = scalars.lastIndex(where: { !isBlank($0) })
  else { return "" }
  let trimmed = String(scalars[first...last])
  return trimmed.utf8.allSatisfy { $0 < 0x80 } ? trimmed : composed(trimmed)
}

/// The same on one line: what ends a line, and tabs, become one blank with those around them.
package func cleanLine(_ text: String) -> String {
  cleanText(text).unicodeScalars.split { [0x09, 0x0A, 0x2028, 0x2029].contains($0.value) }
    .map { cleanText(String($0)) }.filter { !$0.isEmpty }.joined(separator: " ")
}

/// The text in Unicode's form NFC. The standard library compares strings by this very code, but has no public name for it.
private func composed(_ text: String) -> String {
  var scalars = String.UnicodeScalarView()
  for scalar in text._nfc { scalars.append(scalar) }
  return String(scalars)
}

@_spi(_Unicode) import Swift

/// Cleans text that people typed without losing any of its words. Removes control characters other than line feed and
/// tab, and bidirectional control characters; converts CRLF and CR to LF; trims both ends as `trimmed` does; normalises
/// the rest to NFC.
package func cleanText(_ text: String) -> String {
  // Most texts are clean: printable ASCII without a space at either end.
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
  let text = trimmed(String(scalars))
  return text.utf8.allSatisfy { $0 < 0x80 } ? text : composed(text)
}

/// Returns the text without what keyboards, spreadsheets and web pages add at both ends and nobody sees: whitespace,
/// control characters, soft hyphens, zero-width characters, byte order marks and direction marks. Every kind of field
/// is trimmed so.
package func trimmed(_ text: String) -> String {
  let scalars = text.unicodeScalars
  guard let first = scalars.firstIndex(where: { !isTrimmed($0) }),
    let last = scalars.lastIndex(where: { !isTrimmed($0) })
  else { return "" }
  return String(scalars[first...last])
}

private func isTrimmed(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar.value {
  case 0...0x20, 0x7F...0xA0, 0xAD, 0x61C, 0x200B...0x200F, 0x202A...0x202E, 0x2060, 0x2066...0x2069, 0xFEFF: true
  case ..<0x80: false
  default: scalar.properties.isWhitespace
  }
}

/// Cleans text as `cleanText` does and puts it on one line: line ends and tabs, with the whitespace around them, become
/// one space.
package func cleanLine(_ text: String) -> String {
  cleanText(text).unicodeScalars.split { [0x09, 0x0A, 0x2028, 0x2029].contains($0.value) }
    .map { cleanText(String($0)) }.filter { !$0.isEmpty }.joined(separator: " ")
}

/// Returns the text in NFC. The standard library compares strings with this code but has no public function for it.
private func composed(_ text: String) -> String {
  var scalars = String.UnicodeScalarView()
  for scalar in text._nfc { scalars.append(scalar) }
  return String(scalars)
}

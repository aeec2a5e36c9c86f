import Wire

/// Unstructured header text (RFC 2047): plain where it is plain, else base 64 words of at most 75 characters, one a line.
package enum EncodedWord {
  /// The bytes of text that one word of 75 characters holds: 60 characters of base 64 between `=?UTF-8?B?` and `?=`.
  private static let bytesPerWord = 45

  /// `column` characters of the first line are taken by the header's name. Control characters, CR, LF and NUL among
  /// them, are dropped: no value becomes a second header.
  package static func encode(_ text: String, column: Int) -> String {
    let clean = text.unicodeScalars.filter { $0.properties.generalCategory != .control }
    if isPlain(clean), column + clean.count <= 76 { return String(String.UnicodeScalarView(clean)) }
    var words: [String] = []
    var chunk: [UInt8] = []
    var room = max(3, (76 - column - 12) / 4 * 3)
    for scalar in clean {
      let bytes = Array(String(scalar).utf8)
      if chunk.count + bytes.count > min(room, bytesPerWord) {
        words.append("=?UTF-8?B?\(Base64.encode(chunk))?=")
        chunk = []
        room = bytesPerWord
      }
      chunk += bytes
    }
    if !chunk.isEmpty { words.append("=?UTF-8?B?\(Base64.encode(chunk))?=") }
    return words.joined(separator: "\r\n ")
  }

  /// Letters, digits, blanks and harmless signs, and nothing that a reader would take for an encoded word or a quote.
  private static func isPlain(_ scalars: some Collection<Unicode.Scalar>) -> Bool {
    scalars.first != " "
      && scalars.allSatisfy {
        switch $0 {
        case "a"..."z", "A"..."Z", "0"..."9", " ", "-", "_", "'", "!", "+", "/": true
        default: false
        }
      }
  }
}

import Wire

/// Encodes unstructured header text (RFC 2047): plain if possible, otherwise Base64 words of at most 75 characters, one
/// per line.
package enum EncodedWord {
  /// The bytes of text in a word of 75 characters: 60 characters of Base64 between `=?UTF-8?B?` and `?=`.
  private static let bytesPerWord = 45

  /// The header's name takes the first `column` characters of the first line. Control characters, including CR, LF and
  /// NUL, are dropped, so that a value cannot become a second header.
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

  /// True if the text has only letters, digits, spaces and harmless punctuation: nothing that a mail reader could take
  /// for an encoded word or a quotation mark.
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

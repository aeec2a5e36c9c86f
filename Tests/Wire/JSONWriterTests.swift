import Testing
import Wire

@Suite("Writing JSON") struct JSONWriterTests {
  /// The writer looks at eight bytes at a time, so each place in a text, and each byte before and after, may matter.
  @Test("escapes each byte that needs it, wherever it stands") func escapes() throws {
    let signs: [UInt8] = Array(0...0x22) + [0x23, 0x5B, 0x5C, 0x5D, 0x7E, 0x7F]
    for length in 1...19 {
      for place in 0..<length {
        for sign in signs {
          for filler: Unicode.Scalar in ["a", "\u{1F}", "!", "\u{E9}"] {
            var scalars = Array(repeating: filler, count: length)
            scalars[place] = Unicode.Scalar(sign)
            let text = String(String.UnicodeScalarView(scalars))
            #expect(JSON.string(text).text == Self.expected(text))
          }
        }
      }
    }
  }

  /// One scalar after the other, by the rules of RFC 8259 and DEL as well.
  private static func expected(_ text: String) -> String {
    let escaped = text.unicodeScalars.map { scalar -> String in
      switch scalar {
      case "\"": return "\\\""
      case "\\": return "\\\\"
      case "\n": return "\\n"
      case "\r": return "\\r"
      case "\t": return "\\t"
      case "\u{0}"..."\u{1F}", "\u{7F}":
        let digits = String(scalar.value, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: return String(scalar)
      }
    }
    return "\"" + escaped.joined() + "\""
  }
}

import Testing
import Wire

@Suite("The strict JSON reader") struct JSONReaderTests {
  @Test(
    "accepts what RFC 8259 allows, and writes it unchanged",
    arguments: [
      "null", "true", "false", "0", "-1", "-0", "3.25", "1e9", "1E-9", "1e+9", #""""#, #""a""#, "[]", "{}", "[1,[2]]",
      #"{"a":{"b":[null,false]}}"#, "10000000000000000999", #""سارة""#, #""😀""#, "9223372036854775808",
    ])
  func accepts(_ text: String) throws {
    #expect(try JSON(reading: text).text == text)
  }

  @Test(
    "accepts escapes and whitespace",
    arguments: [
      (#""\u0041\n\t\"\\\/""#, #""A\n\t\"\\/""#), (#""\ud83d\ude00""#, #""😀""#),
      (" \r\n\t[ 1 , 2 ] ", "[1,2]"), (#"{ "a" : 1 }"#, #"{"a":1}"#),
    ])
  func acceptsEscapes(_ text: String, _ written: String) throws {
    #expect(try JSON(reading: text).text == written)
  }

  @Test(
    "rejects everything else",
    arguments: [
      "", " ", "nul", "True", "NaN", "Infinity", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "0x10", "1_000",
      "[1,]",
      "[,1]", "[1 2]", "{,}", #"{"a":1,}"#, #"{"a" 1}"#, #"{a:1}"#, #"{'a':1}"#, "[", "{", #"{"a""#, #"""#, #""\""#,
      #""\x41""#, #""\u12""#, #""\u12G4""#, "// c\n1", "/* c */1", "1 1", "{}{}", "\u{FEFF}{}", "\"\n\"", "\"\u{1}\"",
      #"{"a":1,"a":2}"#, #"{"a":1,"\u0061":2}"#, #""\ud800""#, #""\udc00""#, #""\ud800\u0041""#, #""\ud800x""#,
      #""\u0000""#, "1e999", "1e-999", String(repeating: "9", count: 400),
    ])
  func rejects(_ text: String) {
    #expect(throws: JSONError.self) { try JSON(reading: text) }
  }

  @Test(
    "rejects bytes that are not UTF-8",
    arguments: [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE2, 0x82], [0xF5, 0x80, 0x80, 0x80]] as [[UInt8]])
  func rejectsBytes(_ bytes: [UInt8]) {
    #expect(throws: JSONError.self) { try JSON(reading: [0x22] + bytes + [0x22]) }
  }

  @Test(
    "replaces broken characters in strings when asked to",
    arguments: [
      (Array(#""a\ud800""#.utf8), "a\u{FFFD}"), (Array(#""\udc00b""#.utf8), "\u{FFFD}b"),
      (Array(#""\ud83dx""#.utf8), "\u{FFFD}x"), (Array(#""\ud83d\u0041""#.utf8), "\u{FFFD}A"),
      (Array(#""\ud83d\ud83d\ude00""#.utf8), "\u{FFFD}\u{1F600}"), (Array(#""\ud83d\n""#.utf8), "\u{FFFD}\n"),
      (Array(#""a\u0000b""#.utf8), "a\u{FFFD}b"), ([0x22, 0x61, 0xFF, 0x22], "a\u{FFFD}"),
      ([0x22, 0xC0, 0x80, 0x22], "\u{FFFD}\u{FFFD}"), (Array(#""\ud83d\ude00""#.utf8), "\u{1F600}"),
    ] as [([UInt8], String)])
  func repairs(_ bytes: [UInt8], _ text: String) throws {
    #expect(try JSON(reading: bytes, repairing: true) == .string(text))
  }

  @Test("never repairs a member's name or the syntax") func neverRepairs() {
    for text in [#"{"a\ud800":1}"#, #"{"\u0000":1}"#, #""\ud83d\u12""#, #""\x41""#, "\"\u{1}\"", "\u{FEFF}{}", "[1,]"] {
      #expect(throws: JSONError.self) { try JSON(reading: Array(text.utf8), repairing: true) }
    }
    #expect(throws: JSONError.self) {
      try JSON(reading: Array(#"{"a"#.utf8) + [0xFF] + Array(#"":1}"#.utf8), repairing: true)
    }
  }

  @Test("rejects a raw NUL") func rejectsNUL() {
    #expect(throws: JSONError.self) { try JSON(reading: [0x22, 0, 0x22]) }
  }

  @Test("accepts 32 levels, rejects 33, and rejects a million without a stack overflow")
  func depth() throws {
    func nested(_ levels: Int) -> String {
      String(repeating: "[", count: levels) + String(repeating: "]", count: levels)
    }
    _ = try JSON(reading: nested(32))
    #expect(throws: JSONError.self) { try JSON(reading: nested(33)) }
    _ = try JSON(reading: String(repeating: #"{"a":"#, count: 32) + "1" + String(repeating: "}", count: 32))
    #expect(throws: JSONError.self) { try JSON(reading: String(repeating: "[", count: 1_000_000)) }
  }

  @Test("distinguishes keys that differ only in their Unicode form") func unicodeForms() throws {
    let document = try JSON(reading: "{\"\u{E9}\":1,\"e\u{301}\":2}")
    #expect(document["\u{E9}"] == 1)
    #expect(document["e\u{301}"] == 2)
  }

  @Test("any document is written on one line and survives a round trip") func roundTrip() throws {
    let text = String(String.UnicodeScalarView((1...0x2FFF).compactMap(Unicode.Scalar.init)))
    let document: JSON = ["text": .string(text), "list": [nil, true, 1, ["a": []]]]
    #expect(try JSON(reading: document.bytes) == document)
    #expect(!document.bytes.contains(0x0A))
  }
}

@Suite("Strict integers") struct StrictIntegerTests {
  @Test(arguments: ["0", "7", "-7", "9223372036854775807", "-9223372036854775808"])
  func accepts(_ text: String) { #expect(Int(strict: text) == Int(text)) }

  @Test(arguments: ["", "-", "+5", "-0", "05", " 5", "5 ", "5_0", "0x5", "٣", "５", "1.0", "1e2", "9223372036854775808"])
  func rejects(_ text: String) { #expect(Int(strict: text) == nil) }
}

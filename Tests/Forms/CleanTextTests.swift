import Forms
import Testing

@Suite("Cleaned text") struct CleanTextTests {
  @Test(
    "has no control characters, one form of line ends and Unicode, and everything else as typed",
    arguments: [
      ("  Ann  Lee \n", "Ann  Lee"), ("a\r\nb\rc\nd", "a\nb\nc\nd"), ("a\tb", "a\tb"),
      ("a\u{0}\u{7}\u{1B}[31mb", "a[31mb"),
      ("a\u{202E}b\u{2066}c", "abc"), ("e\u{301}", "\u{E9}"), ("\u{1100}\u{1161}", "\u{AC00}"), ("\u{212A}", "K"),
      ("\u{85}a\u{9F}", "a"), ("سارة", "سارة"), ("👩‍👩‍👧", "👩‍👩‍👧"), ("", ""), (" \n\t", ""),
      ("Robert'); DROP TABLE x;--", "Robert'); DROP TABLE x;--"),
    ])
  func cleans(_ text: String, _ clean: String) {
    #expect(Array(cleanText(text).unicodeScalars) == Array(clean.unicodeScalars))
  }
}

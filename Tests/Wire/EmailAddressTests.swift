import Testing
import Wire

@Suite("Email addresses") struct EmailAddressTests {
  @Test(
    "accepts common addresses",
    arguments: [
      "test@example.com", "a.b+c@sub.example.co.uk", "o'brien@example.ie", "x_y-z@example.xn--p1ai", "1@example.com",
    ])
  func accepts(_ text: String) { #expect(EmailAddress(text)?.text == text) }

  @Test("lowercases the domain and keeps the local part") func lowercase() {
    #expect(EmailAddress("Ann.Lee@Example.COM")?.text == "Ann.Lee@example.com")
  }

  @Test(
    "rejects any other address",
    arguments: [
      "", "a", "a@", "@b.com", "a@b", "a@b.c", "a@@b.com", "a b@c.com", "a@b .com", ".a@b.com", "a.@b.com",
      "a..b@c.com",
      "a@-b.com", "a@b-.com", "a@b..com", "a@b.com.", "a@b.com\r\nRCPT TO:<x@y.z>", "a@b.com>", "<a@b.com>",
      "a@b.c0m", "\"a b\"@c.com", "a@[127.0.0.1]", "ä@b.com", "a@bücher.de", "a@ban\u{212A}.com", "a@x.\u{212A}om",
      "a@b.com\u{0}", "a@b.com\n",
      "=?utf-8?q?a?=@b.com",
      String(repeating: "a", count: 65) + "@b.com", "a@" + String(repeating: "b", count: 64) + ".com",
    ])
  func rejects(_ text: String) { #expect(EmailAddress(text) == nil) }
}

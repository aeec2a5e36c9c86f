import Forms
import Testing

@Suite("Phone numbers") struct PhoneNumberTests {
  @Test(
    "come out as E.164 from any common writing",
    arguments: [
      ("+971501234567", "+971501234567"), ("0501234567", "+971501234567"), ("050 123 4567", "+971501234567"),
      ("(050) 123-4567", "+971501234567"), ("501234567", "+971501234567"), ("00971 50 123 4567", "+971501234567"),
      ("971501234567", "+971501234567"), ("+971 (0)50 123 45 67", "+971501234567"), ("+9710501234567", "+971501234567"),
      ("tel:+971-50-123-4567", "+971501234567"), ("٠٥٠١٢٣٤٥٦٧", "+971501234567"), ("＋９７１５０１２３４５６７", "+971501234567"),
      ("04 123 4567", "+97141234567"), ("+44 20 7946 0958", "+442079460958"), ("0049.30.123456", "+4930123456"),
      ("+1 (212) 555-0100", "+12125550100"), ("+44 (0)20 7946 0958", "+442079460958"),
      ("0049 (0) 30 123456", "+4930123456"), ("\u{202A}+971501234567\u{202C}", "+971501234567"),
      ("0971501234567", "+971501234567"), ("9710501234567", "+971501234567"), ("919812345678", "+919812345678"),
      ("447700900123", "+447700900123"), ("050\u{200B}1234567", "+971501234567"), ("800 12345", "+97180012345"),
    ])
  func reads(_ text: String, _ e164: String) { #expect(PhoneNumber(text)?.e164 == e164) }

  @Test(
    "are refused when they are none",
    arguments: [
      "", "+", "00", "12", "+0123456789", "call me", "050-CALL-NOW", "0501234567 ext 5", "0501234567x5",
      "++971501234567",
      "+971+501234567", "1234567890123456", "1 415 555 2671", "9812345678", "079460958000", "+97150123456789", "+97150",
      "0919812345678", "+97150\r\n1234567", "050;1234567",
    ])
  func refuses(_ text: String) { #expect(PhoneNumber(text) == nil) }
}

@Suite("Mail addresses") struct EmailAddressTests {
  @Test(
    "strict but fair",
    arguments: [
      "test@example.com", "a.b+c@sub.example.co.uk", "o'brien@example.ie", "x_y-z@example.xn--p1ai", "1@example.com",
    ])
  func takes(_ text: String) { #expect(EmailAddress(text)?.text == text) }

  @Test("the domain is put into lower case, the rest is the owner's") func lowercase() {
    #expect(EmailAddress("Ann.Lee@Example.COM")?.text == "Ann.Lee@example.com")
  }

  @Test(
    "refused",
    arguments: [
      "", "a", "a@", "@b.com", "a@b", "a@b.c", "a@@b.com", "a b@c.com", "a@b .com", ".a@b.com", "a.@b.com",
      "a..b@c.com",
      "a@-b.com", "a@b-.com", "a@b..com", "a@b.com.", "a@b.com\r\nRCPT TO:<x@y.z>", "a@b.com>", "<a@b.com>",
      "a@b.c0m", "\"a b\"@c.com", "a@[127.0.0.1]", "ä@b.com", "a@bücher.de", "a@ban\u{212A}.com", "a@x.\u{212A}om",
      "a@b.com\u{0}", "a@b.com\n",
      "=?utf-8?q?a?=@b.com",
      String(repeating: "a", count: 65) + "@b.com", "a@" + String(repeating: "b", count: 64) + ".com",
    ])
  func refuses(_ text: String) { #expect(EmailAddress(text) == nil) }
}

@Suite("Text that people typed") struct CleanTextTests {
  @Test(
    "is harmless and whole",
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

import Foundation
import Testing
import Wire

@testable import Leads

@Suite("Phone numbers") struct PhoneNumberTests {
  @Test(
    "are read from any common notation and stored as E.164",
    arguments: [
      ("+971501234567", "+971501234567"), ("0501234567", "+971501234567"), ("050 123 4567", "+971501234567"),
      ("(050) 123-4567", "+971501234567"), ("501234567", "+971501234567"), ("00971 50 123 4567", "+971501234567"),
      ("971501234567", "+971501234567"), ("+971 (0)50 123 45 67", "+971501234567"), ("+9710501234567", "+971501234567"),
      ("tel:+971-50-123-4567", "+971501234567"), ("tel:50-123-4567;phone-context=+971", "+971501234567"),
      ("tel:020 7946 0958;phone-context=+44", "+442079460958"),
      ("tel:+971501234567;phone-context=a.example", "+971501234567"),
      ("٠٥٠١٢٣٤٥٦٧", "+971501234567"), ("＋９７１５０１２３４５６７", "+971501234567"),
      ("04 123 4567", "+97141234567"), ("+44 20 7946 0958", "+442079460958"), ("0049.30.123456", "+4930123456"),
      ("+1 (212) 555-0100", "+12125550100"), ("+44 (0)20 7946 0958", "+442079460958"),
      ("0049 (0) 30 123456", "+4930123456"), ("\u{202A}+971501234567\u{202C}", "+971501234567"),
      ("0971501234567", "+971501234567"), ("9710501234567", "+971501234567"), ("919812345678", "+919812345678"),
      ("447700900123", "+447700900123"), ("050\u{200B}1234567", "+971501234567"), ("800 12345", "+97180012345"),
    ])
  func reads(_ text: String, _ e164: String) { #expect(PhoneNumber(text)?.e164 == e164) }

  @Test(
    "have no trunk prefix after the country code, and the country code once",
    arguments: [
      ("+44 0161 496 0000", "+441614960000"), ("+44 07911123456", "+447911123456"),
      ("4407911123456", "+447911123456"), ("+966 0501234567", "+966501234567"), ("+91 09876543210", "+919876543210"),
      ("+20 01001234567", "+201001234567"), ("+7 8 495 123 45 67", "+74951234567"),
      ("+375 8 029 491 19 11", "+375294911911"), ("+36 06 20 123 4567", "+36201234567"),
      ("+1 1 415 555 2671", "+14155552671"), ("+81 090 1234 5678", "+819012345678"),
      ("+34 (0) 912345678", "+34912345678"), ("+971 971501234567", "+971501234567"),
      ("+00971 50 123 4567", "+971501234567"), ("+971 00971 50 123 4567", "+971501234567"),
      ("+44 44 20 7946 0958", "+442079460958"), ("+91 91 98765 43210", "+919876543210"),
    ])
  func trunkPrefix(_ text: String, _ e164: String) { #expect(PhoneNumber(text)?.e164 == e164) }

  @Test(
    "keep what looks like a prefix and is part of the number",
    arguments: [
      ("+39 06 698 12345", "+390669812345"), ("+39 (0)6 698 12345", "+390669812345"),
      ("+225 07 12 34 56 78", "+2250712345678"), ("+81 0077 123456", "+810077123456"),
      ("+7 800 123 45 67", "+78001234567"),
      ("+49 4930 901820", "+494930901820"), ("+91 91987 65432", "+919198765432"),
    ])
  func noTrunkPrefix(_ text: String, _ e164: String) { #expect(PhoneNumber(text)?.e164 == e164) }

  @Test(
    "keep an extension beside the number",
    arguments: [
      ("04 123 4567 ext 12", "12"), ("04 123 4567 Ext. 12", "12"), ("041234567;ext=12", "12"), ("04 123 4567x12", "12"),
      ("tel:+971-4-123-4567;ext=0012", "0012"), ("tel:041234567;phone-context=+971;ext=12", "12"),
      ("tel:+971-4-123-4567;ext=12;isub=5", "12"), ("04 123 4567 #12", "12"), ("04 123 4567,,12", "12"),
      ("04 123 4567 extension: 1234567", "1234567"), ("٠٤ ١٢٣ ٤٥٦٧ تحويلة ١٢", "12"),
    ])
  func extensions(_ text: String, _ kept: String) {
    let number = PhoneNumber(text)
    #expect(number?.e164 == "+97141234567" && number?.phoneExtension == kept)
  }

  /// Written by tools/country_codes.py from the data of libphonenumber.
  @Test("of every region and kind are read in national, international and RFC 3966 notation") func examples() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(
      path: "../Cases/tables/phone-examples.json")
    let rows = try JSON(reading: [UInt8](Data(contentsOf: file))).array ?? []
    #expect(rows.count > 900)
    for row in rows {
      let texts = row.array?.map(\.string) ?? []
      for text in texts.dropFirst().compactMap({ $0 }) { #expect(PhoneNumber(text)?.e164 == texts[0], "\(text)") }
    }
  }

  @Test(
    "are rejected if invalid",
    arguments: [
      "", "+", "00", "12", "+0123456789", "call me", "050-CALL-NOW", "0501234567 next 5", "0501234567 ext",
      "0501234567 ext 12345678", "0501234567,5", "0501234567 ext 1 ext 2", "++971501234567",
      "+971+501234567", "1234567890123456", "1 415 555 2671", "9812345678", "079460958000", "+97150123456789", "+97150",
      "0919812345678", "050;1234567", "Villa 12 0501234567", "0501234567 CALL", "tel", "📞",
    ])
  func rejects(_ text: String) { #expect(PhoneNumber(text) == nil) }

  @Test(
    "are read without what people write around them",
    arguments: [
      "Tel: 050 123 4567", "📞 050 123 4567", "WhatsApp 0501234567", "\"050 123 4567\"", "'0501234567", "=+971501234567",
      "Mob.: +971 50 123 4567", "0501234567 (WhatsApp)", "0501234567.", "<0501234567>", "my number: 050-123-4567",
      "Phone number 050 123 4567", "رقمي ٠٥٠١٢٣٤٥٦٧", "هاتف: 0501234567", "🇦🇪 +971 50 123 4567", "050\t123\t4567",
      "+97150\r\n1234567", "tel: 050 123 4567", "0️⃣501234567",
    ])
  func labels(_ text: String) { #expect(PhoneNumber(text)?.e164 == "+971501234567") }

  @Test(
    "of which several are given: the first",
    arguments: [
      "050 123 4567 / 055 765 4321", "0501234567, 0557654321", "0501234567;0557654321", "0501234567\n0557654321",
      "Mobile: 050 123 4567 & Home: 04 123 4567", "050 123 4567 or 055 765 4321", "٠٥٠١٢٣٤٥٦٧ أو ٠٥٥٧٦٥٤٣٢١",
    ])
  func several(_ text: String) {
    #expect(PhoneNumber(text) == nil && PhoneNumber.first(ofSeveral: text)?.e164 == "+971501234567")
  }

  @Test(
    "are not several if one of them is incomplete", arguments: ["0501234567", "0501234567,5", "0501234567 / Villa"])
  func notSeveral(_ text: String) { #expect(PhoneNumber.first(ofSeveral: text) == nil) }

  @Test(
    "are rejected with a reason",
    arguments: [
      ("call me", PhoneNumber.Failure.otherSigns), ("---", .noDigits), ("1 415 555 2671", .unknownCountry),
      ("050", .tooShort), ("+97150", .tooShort), ("+97150123456789", .tooLong), ("1234567890123456", .tooLong),
    ])
  func reasons(_ text: String, _ failure: PhoneNumber.Failure) {
    #expect(throws: failure) { try PhoneNumber(reading: text) }
  }
}

import Testing
import Wire

@testable import Admin

@Suite("Phone numbers in a search query") struct QueryNumbersTests {
  private func found(_ query: String) -> [[String?]] {
    (QueryNumbers.found(in: query).array ?? []).map { [$0["text"]?.string, $0["digits"]?.string] }
  }

  @Test(
    "a query that is a number is read as at intake",
    arguments: [
      ("+44 (0)20 7946 0958", "442079460958"), ("tel:+44-20-7946-0958", "442079460958"),
      ("TEL:00971501234567", "971501234567"), ("050 123 4567", "971501234567"), ("٠٥٠ ١٢٣ ٤٥٦٧", "971501234567"),
      ("\u{202A}+971501234567\u{202C}", "971501234567"),
    ])
  func whole(_ query: String, _ digits: String) { #expect(found(query) == [[query, digits]]) }

  @Test("numbers are found among words")
  func amongWords() {
    #expect(found("sara +44 (0)20 7946 0958 villa") == [["+44 (0)20 7946 0958", "442079460958"]])
    #expect(found("call tel:+442079460958, ahmad") == [["tel:+442079460958", "442079460958"]])
    #expect(
      found("050 123 4567 or 055 987 6543")
        == [["050 123 4567", "971501234567"], ["055 987 6543", "971559876543"]])
    #expect(found("(050) 123-4567 please") == [["(050) 123-4567", "971501234567"]])
    #expect(found("sara 04 123 4567 ext 12 villa") == [["04 123 4567 ext 12", "97141234567"]])
    #expect(found("+97141234567;ext=12 sara") == [["+97141234567;ext=12", "97141234567"]])
    #expect(found("041234567x12, sara") == [["041234567x12", "97141234567"]])
    #expect(found("04 123 4567 villa 12") == [["04 123 4567", "97141234567"]])
    #expect(found("احمد ٠٥٠١٢٣٤٥٦٧") == [["٠٥٠١٢٣٤٥٦٧", "971501234567"]])
  }

  @Test(
    "anything else is left to the search of words and parts",
    arguments: [
      "", "sara", "4567", "a0501234567", "0501234567b", "0501234567@example.com", "x_0501234567", "villa 3", "+", "(",
      "- -",
      "050 123 4567 055 987 6543", "😀 1",
    ])
  func nothing(_ query: String) { #expect(found(query) == []) }
}

import Contract
import Testing

@Suite("The summary of a stream") struct StreamSummaryTests {
  private func summary(_ statuses: [Int], stores: Bool = true) -> StreamSummary {
    var summary = StreamSummary(stores: stores)
    for (index, status) in statuses.enumerated() { summary.add(status: status, line: index + 1) }
    return summary
  }

  @Test("counts lines and lists those that were refused") func refused() {
    #expect(summary([201, 200, 400, 422, 201]).text == "5 read, 3 stored, 2 refused: lines 3, 4")
    #expect(summary([401]).text == "1 read, 0 stored, 1 refused: line 1")
    #expect(!summary([201, 400]).isClean)
  }

  @Test("lists failures after refusals") func failed() {
    #expect(summary([503, 400, 200]).text == "3 read, 1 stored, 1 refused: line 2; 1 failed: line 1")
    #expect(summary([500, 504]).text == "2 read, 0 stored, 2 failed: lines 1, 2")
  }

  @Test("lists nothing if everything succeeded") func clean() {
    #expect(summary([200, 204, 303], stores: false).text == "3 read, 3 answered")
    #expect(summary([]).text == "0 read, 0 stored")
    #expect(summary([201]).isClean)
  }

  @Test("lists at most ten line numbers of each result") func many() {
    let numbers = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10"
    #expect(
      summary(Array(repeating: 400, count: 11)).text == "11 read, 0 stored, 11 refused: lines \(numbers) and 1 more")
    #expect(summary(Array(repeating: 400, count: 10)).text == "10 read, 0 stored, 10 refused: lines \(numbers)")
  }
}

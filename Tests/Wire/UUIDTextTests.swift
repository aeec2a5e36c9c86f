import Testing
import Wire

@Suite struct UUIDTextTests {
  /// Other tests may make so many ids at this moment that the time in them runs ahead.
  @Test func anOrderedIDHasVersion7AndShowsItsTime() {
    let before = Instant.now.milliseconds
    let id = UUIDText.ordered().text
    let after = Instant.now.milliseconds
    #expect(UUIDText(id)?.text == id)
    let digits = id.filter { $0 != "-" }
    #expect(digits.dropFirst(12).first == "7")
    #expect("89ab".contains(digits[digits.index(digits.startIndex, offsetBy: 16)]))
    #expect(before...after + 1000 ~= Int(digits.prefix(12), radix: 16) ?? 0)
  }

  @Test func orderedIDsIncreaseInEveryThread() async {
    let all = await withTaskGroup(of: [String].self) { group in
      for _ in 0..<4 { group.addTask { (0..<20_000).map { _ in UUIDText.ordered().text } } }
      return await group.reduce(into: []) { $0.append($1) }
    }
    for ofThread in all { #expect(zip(ofThread, ofThread.dropFirst()).allSatisfy(<)) }
    #expect(Set(all.joined()).count == 80_000)
  }
}

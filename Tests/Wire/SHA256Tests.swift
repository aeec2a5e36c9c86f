import Testing
import Wire

/// The test vectors of FIPS 180-4 and NIST, and lengths around the end of a block.
@Suite struct SHA256Tests {
  private func digest(_ text: String) -> String {
    SHA256Digest.of(Array(text.utf8)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  @Test func hashesTheVectorsOfTheStandard() {
    #expect(digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(
      digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
        == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    #expect(
      digest(String(repeating: "a", count: 100_000))
        == "6d1cf22d7cc09b085dfc25ee1a1f3ae0265804c607bc2074ad253bcc82fd81ee")
  }

  @Test func hashesEveryLengthAroundABlock() {
    let all = (0...130).map { digest(String(repeating: "x", count: $0)) }
    #expect(Set(all).count == all.count)
    #expect(
      all[55] == "d5e285683cd4efc02d021a5c62014694958901005d6f71e89e0989fac77e4072")
    #expect(
      all[56] == "04c26261370ee7541549d16dee320c723e3fd14671e66a099afe0a377c16888e")
    #expect(
      all[64] == "7ce100971f64e7001e8fe5a51973ecdfe1ced42befe7ee8d5fd6219506b5393c")
  }
}

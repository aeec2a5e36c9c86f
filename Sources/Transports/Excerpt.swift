/// Extracts what is safe to store and log from a provider's reply, which can contain anything, including secrets and a
/// customer's address.
package enum Excerpt {
  /// Returns an error code as providers write them: `invalid_token`, `msg_blocks_too_long`. Nil for anything else.
  package static func token(_ text: String) -> String? {
    let bytes = text.utf8
    return 2...48 ~= bytes.count && bytes.allSatisfy { 0x61...0x7A ~= $0 || 0x30...0x39 ~= $0 || $0 == 0x5F }
      && bytes.contains { 0x61...0x7A ~= $0 } && bytes.filter { 0x30...0x39 ~= $0 }.count <= 3 ? text : nil
  }

  /// Returns at most `limit` scalars of `text` on one line, in ASCII, without addresses of any kind, long words (keys)
  /// and long numbers (phone numbers, chats). Words that contain a secret or a large part of one are removed too.
  package static func clean(_ text: String, hiding secrets: [String] = [], limit: Int = 100) -> String {
    let words = text.unicodeScalars.prefix(2000).split { !(0x21...0x7E ~= $0.value) }.map(String.init)
    let kept = words.map { word in isHarmless(word) && !secrets.contains { leaks(word, $0) } ? word : "…" }
    var out: [String] = []
    for word in kept where !(word == "…" && out.last == "…") { out.append(word) }
    return Cut.scalars(out.joined(separator: " "), to: limit)
  }

  private static func isHarmless(_ word: String) -> Bool {
    let bytes = Array(word.utf8)
    let digits = bytes.split { !(0x30...0x39 ~= $0) }.map(\.count).max() ?? 0
    return bytes.count <= 30 && digits < 7 && !bytes.contains { "@/\\%=&?<>\"{}".utf8.contains($0) }
      && !word.lowercased().hasPrefix("www.")
  }

  /// True if the word contains the secret, or is a part of it with at least six bytes.
  private static func leaks(_ word: String, _ secret: String) -> Bool {
    !secret.isEmpty && (contains(word, secret) || (word.utf8.count >= 6 && contains(secret, word)))
  }

  private static func contains(_ text: String, _ part: String) -> Bool {
    let text = Array(text.utf8)
    let part = Array(part.utf8)
    guard text.count >= part.count else { return false }
    return (0...(text.count - part.count)).contains { text[$0..<($0 + part.count)].elementsEqual(part) }
  }
}

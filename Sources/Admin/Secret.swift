import Crypto
import Wire

/// Secrets of the admin interface: made here, and kept anywhere else as their SHA-256 only.
package enum Secret {
  /// 128 random bits of the system, in hexadecimal digits.
  package static func token() -> String { hex((0..<16).map { _ in UInt8.random(in: .min ... .max) }) }

  /// A key for a person or a program: `lp_` and 256 random bits.
  package static func key() -> String { "lp_" + token() + token() }

  /// SHA-256 in hexadecimal digits, as the database's functions take it.
  package static func sha256(_ text: String) -> String { hex(digest(text)) }

  static func digest(_ text: String) -> SHA256.Digest { SHA256.hash(data: Array(text.utf8)) }

  /// What a page shows with each change that its cookie is to pay for. It comes of the session's token, which no other page can read.
  package static func csrfToken(of token: String) -> String { sha256("csrf " + token) }

  /// In a time that does not tell where they differ: digests are compared, whole.
  static func isSame(_ left: String, _ right: String) -> Bool { digest(left) == digest(right) }

  private static func hex(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
}

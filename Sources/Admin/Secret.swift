import CCrypto
import Wire

/// Secrets of the admin interface. They are generated here; only their SHA-256 is stored.
package enum Secret {
  /// Returns 128 bits from the system's random number generator, in hexadecimal.
  package static func token() -> String { hexadecimal((0..<16).map { _ in UInt8.random(in: .min ... .max) }) }

  /// Returns a key for a person or a program: `lp_` and 256 random bits in hexadecimal.
  package static func key() -> String { "lp_" + token() + token() }

  /// Returns the SHA-256 in hexadecimal, the form that the database functions take.
  package static func sha256(_ text: String) -> String { hexadecimal(digest(text)) }

  static func digest(_ text: String) -> [UInt8] {
    var text = text
    return text.withUTF8 { bytes in
      [UInt8](unsafeUninitializedCapacity: Int(SHA256_DIGEST_LENGTH)) { digest, count in
        leadpipe_sha256(bytes.baseAddress, bytes.count, digest.baseAddress)
        count = Int(SHA256_DIGEST_LENGTH)
      }
    }
  }

  /// Returns the CSRF token, which a page must send with each change that its cookie authenticates. It is derived from
  /// the session token, which no other page can read.
  package static func csrfToken(of token: String) -> String { sha256("csrf " + token) }

  /// Compares two strings by their digests, so that the time does not reveal where they differ.
  static func isSame(_ left: String, _ right: String) -> Bool { digest(left) == digest(right) }
}

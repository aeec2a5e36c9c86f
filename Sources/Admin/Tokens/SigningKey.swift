import CCrypto
import Wire

/// A key that can verify signatures of access tokens. The kind of the key decides the algorithm, never the token.
enum SigningKey: Sendable {
  /// HS256: the secret that the issuer shares.
  case secret([UInt8])
  /// ES256: the coordinates of a point on the curve P-256, 32 bytes each.
  case p256(x: [UInt8], y: [UInt8])
  /// RS256: modulus and exponent.
  case rsa(n: [UInt8], e: [UInt8])

  /// The algorithm's name in the header of a token (RFC 7518 §3.1).
  var algorithm: String {
    switch self {
    case .secret: "HS256"
    case .p256: "ES256"
    case .rsa: "RS256"
    }
  }

  /// True if `signature` is this key's for `message`.
  func verifies(_ signature: [UInt8], of message: String) -> Bool {
    let digest = Secret.digest(message)
    switch self {
    case .secret(let secret): return HMAC.areEqual(HMAC.sha256(message.utf8, key: secret), signature)
    case .p256(let x, let y):
      guard signature.count == 64, let key = leadpipe_p256_key(x, y) else { return false }
      defer { EC_KEY_free(key) }
      return leadpipe_verify_es256(key, digest, signature) == 1
    case .rsa(let n, let e):
      return leadpipe_verify_rs256(n, n.count, e, e.count, digest, signature, signature.count) == 1
    }
  }
}

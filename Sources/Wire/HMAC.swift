/// The message authentication code HMAC-SHA-256 (RFC 2104), for processes that must not load a cryptography library.
package enum HMAC {
  /// Returns the 32 bytes of the code.
  package static func sha256(_ message: some Collection<UInt8>, key: [UInt8]) -> [UInt8] {
    var block = key.count > 64 ? SHA256Digest.of(key) : key
    block += [UInt8](repeating: 0, count: 64 - block.count)
    let inner = SHA256Digest.of(block.map { $0 ^ 0x36 } + Array(message))
    return SHA256Digest.of(block.map { $0 ^ 0x5C } + inner)
  }

  /// Compares two codes in a time that does not depend on where they differ.
  package static func areEqual(_ one: [UInt8], _ other: [UInt8]) -> Bool {
    guard one.count == other.count else { return false }
    return zip(one, other).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
  }
}

import CCrypto
import Glibc
import Wire

/// The public keys of an issuer by their ids: a JWK Set (RFC 7517 §5).
package struct JSONWebKeys: Sendable {
  /// Why a set cannot be used, as the end of a sentence that begins with its name.
  package struct Failure: Error {
    package let reason: String
  }

  /// The largest size of a set in bytes.
  package static let limit = 65_536

  let keys: [String: SigningKey]

  /// Reads a set: a JSON object, or the absolute path of a file with one.
  package init(_ setting: String) throws(Failure) {
    try self.init(reading: setting.hasPrefix("/") ? Self.read(setting) : Array(setting.utf8))
  }

  /// Keys of other kinds than P-256 and RSA, and keys for other uses than signatures, are ignored, as RFC 7517 §5
  /// asks. A key of these kinds that is malformed makes the set unusable, and so does a set without a usable key.
  package init(reading bytes: [UInt8]) throws(Failure) {
    guard bytes.count <= Self.limit else { throw Failure(reason: "is larger than 64 KiB") }
    guard let listed = (try? JSON(reading: bytes))?["keys"]?.array else {
      throw Failure(reason: "must be a JWK Set, such as {\"keys\": […]}, or the absolute path of a file with one")
    }
    var keys: [String: SigningKey] = [:]
    for jwk in listed {
      guard let key = try Self.key(jwk) else { continue }
      guard let id = jwk["kid"]?.string, !id.isEmpty else { throw Failure(reason: "has a key without a kid") }
      guard keys.updateValue(key, forKey: id) == nil else { throw Failure(reason: "has two keys with the same kid") }
    }
    guard !keys.isEmpty else { throw Failure(reason: "has no key for ES256 or RS256") }
    self.keys = keys
  }

  /// What is wrong with a set or its file; nil if it can be used.
  @Sendable package static func fault(in setting: String) -> String? {
    do throws(Failure) {
      _ = try JSONWebKeys(setting)
      return nil
    } catch { return error.reason }
  }

  /// Reads one key (RFC 7518 §6). Nil if it is of another kind or for another use.
  private static func key(_ jwk: JSON) throws(Failure) -> SigningKey? {
    let number = { (name: String) in jwk[name]?.string.flatMap(Base64URL.decode) }
    let isForSignatures = jwk["use"].map { $0 == "sig" } ?? true
    let mayVerify = jwk["key_ops"].map { $0.array?.contains("verify") == true } ?? true
    guard isForSignatures, mayVerify else { return nil }
    let key: SigningKey
    switch jwk["kty"]?.string {
    case "EC" where jwk["crv"] == "P-256":
      guard let x = number("x"), let y = number("y"), x.count == 32, y.count == 32, isOnCurve(x, y) else {
        throw Failure(reason: "has a P-256 key that is not a point of the curve")
      }
      key = .p256(x: x, y: y)
    case "RSA":
      guard let n = number("n"), let e = number("e"), 256...1024 ~= n.count, n[0] >= 0x80 || n.count > 256, n[0] != 0,
        1...4 ~= e.count, e.last.map({ $0 & 1 == 1 }) == true, e != [1]
      else { throw Failure(reason: "has an RSA key that is not one of 2048 to 8192 bits") }
      key = .rsa(n: n, e: e)
    default: return nil
    }
    return jwk["alg"].map { $0 == .string(key.algorithm) } ?? true ? key : nil
  }

  private static func isOnCurve(_ x: [UInt8], _ y: [UInt8]) -> Bool {
    guard let key = leadpipe_p256_key(x, y) else { return false }
    EC_KEY_free(key)
    return true
  }

  private static func read(_ path: String) throws(Failure) -> [UInt8] {
    // Without O_NONBLOCK, the open of a pipe would wait for its writer.
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw Failure(reason: "cannot be read: \(String(cString: strerror(errno)))") }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: limit + 1)
    var count = 0
    while count < bytes.count {
      let read = bytes[count...].withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
      guard read != 0 else { break }
      guard read > 0 || errno == EINTR else {
        throw Failure(reason: "cannot be read: \(String(cString: strerror(errno)))")
      }
      count += max(read, 0)
    }
    return Array(bytes[..<count])
  }
}

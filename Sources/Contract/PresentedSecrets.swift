import Wire

/// The key of a request, or its sessions if it has no key. It is used for the time of one call; only its hashes may be
/// stored. Empty if two keys are presented, because no handler accepts these.
package struct PresentedSecrets: Sendable {
  /// For one process: the seed of the hash differs in every process.
  package let hashes: [Int]
  /// For all processes that share the limits: the first 128 bits of a SHA-256, in hexadecimal digits.
  package var digests: [String] { values.map(Self.digest) }
  private let values: [[UInt8]]

  package init() { self.init([]) }

  package init(_ headers: [String: String]) {
    let authorization = headers["authorization"] ?? ""
    let bearer = authorization.prefix(7).lowercased() == "bearer " ? authorization.dropFirst(7) : nil
    var keys = [headers["x-admin-api-key"].map { $0[...] }, bearer].compactMap { $0 }
    let isOneKey = keys.count <= 1 && (headers["authorization"] == nil || bearer != nil)
    if keys.isEmpty { keys = (headers["cookie"] ?? "").split(separator: ";").compactMap(Self.session) }
    self.init(isOneKey ? keys.prefix(8) : [])
  }

  /// The sessions that a reply opens.
  package init(openedBy reply: Reply) {
    self.init(reply.cookies.compactMap { cookie in Self.session(cookie.prefix { $0 != ";" }) }.prefix(8))
  }

  private init(_ secrets: some Sequence<Substring>) {
    values = secrets.map { secret in secret.utf8.filter { $0 != 0x20 && $0 != 0x09 } }
    hashes = values.map { value in
      var hasher = Hasher()
      for byte in value { hasher.combine(byte) }
      return hasher.finalize()
    }
  }

  /// Returns the value of a session cookie (RFC 6265 §4.2.1); nil for any other cookie and if it is empty.
  private static func session(_ pair: Substring) -> Substring? {
    let pair = pair.drop { $0 == " " }
    for name in ["__Host-leadpipe_session=", "leadpipe_session="] where pair.hasPrefix(name) {
      let value = pair.dropFirst(name.count)
      return value.isEmpty ? nil : value
    }
    return nil
  }

  /// The prefix makes the digest differ from those of the keys in `admin_keys`.
  private static func digest(_ secret: [UInt8]) -> String {
    hexadecimal(SHA256Digest.of(Array("leadpipe rate limit ".utf8) + secret).prefix(16))
  }
}

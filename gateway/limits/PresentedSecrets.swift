import Contract

/// Hashes of the key of a request, or of its sessions if it has no key. The seed of the hash differs in every process,
/// and the secrets themselves are not kept. Empty if two keys are presented, because no handler accepts these.
struct PresentedSecrets: Sendable {
  private(set) var hashes: [Int] = []

  init() {}

  init(_ headers: [String: String]) {
    let authorization = headers["authorization"] ?? ""
    let bearer = authorization.prefix(7).lowercased() == "bearer " ? authorization.dropFirst(7) : nil
    var keys = [headers["x-admin-api-key"].map { $0[...] }, bearer].compactMap { $0 }
    guard keys.count <= 1, headers["authorization"] == nil || bearer != nil else { return }
    if keys.isEmpty { keys = (headers["cookie"] ?? "").split(separator: ";").compactMap(Self.session) }
    hashes = keys.prefix(8).map(Self.hash)
  }

  /// The sessions that a reply opens.
  init(openedBy reply: Reply) {
    hashes = reply.cookies.compactMap { cookie in Self.session(cookie.prefix { $0 != ";" }) }.map(Self.hash)
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

  private static func hash(_ secret: Substring) -> Int {
    var hasher = Hasher()
    for byte in secret.utf8 where byte != 0x20 && byte != 0x09 { hasher.combine(byte) }
    return hasher.finalize()
  }
}

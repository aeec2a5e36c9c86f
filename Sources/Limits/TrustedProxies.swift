/// The proxies whose X-Forwarded-For header is trusted. It determines the client address of a request.
///
/// Only X-Forwarded-For is read. Forwarded, X-Real-IP, CF-Connecting-IP and similar headers are ignored: a proxy that
/// sets one of them passes the others through as the client wrote them.
package struct TrustedProxies: Sendable, Equatable {
  /// The peer of a connection.
  package enum Peer: Sendable, Equatable {
    case address(ClientAddress)
    case unixSocket
    case unknown
  }

  fileprivate struct Network: Sendable, Equatable {
    let address: ClientAddress
    let bits: Int
  }

  private var networks: [Network] = []
  private var trustsUnixSockets = false
  /// The number of trusted proxies that every request passes, whatever their addresses.
  private var hops: Int?

  /// Trusts no proxy.
  package init() {}

  /// Reads TRUSTED_PROXIES: addresses, networks such as `10.0.0.0/8` and the word `unix`, separated by commas; or
  /// `hops:N` with N from 1 to 16. Nil for anything else.
  package init?(_ text: String) {
    if text.hasPrefix("hops:") {
      guard let hops = Digits.number(Array(text.utf8.dropFirst(5))), 1...16 ~= hops else { return nil }
      self.hops = hops
      return
    }
    for item in text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      let word = String(Substring(Self.trimmed(item)))
      if word == "unix" {
        trustsUnixSockets = true
      } else if let network = Network(word) {
        networks.append(network)
      } else {
        return nil
      }
    }
  }

  /// Describes what is wrong with a value of TRUSTED_PROXIES, as the end of a sentence that begins with its name. Nil
  /// for a valid value.
  package static func validate(_ value: String) -> String? {
    TrustedProxies(value) == nil
      ? "must be addresses, networks such as 10.0.0.0/8 (no bits set after the prefix, no prefix of 0) or unix, separated by commas; or hops:N with N from 1 to 16"
      : nil
  }

  /// Returns the client address of a request. It is the peer, or, if the peer is trusted, the right-most untrusted
  /// address in X-Forwarded-For. An invalid entry ends the search: the last trusted address is then the client, because
  /// anything further left may be forged. Nil if there is no address at all.
  ///
  /// - Parameter forwarded: the X-Forwarded-For fields, in order.
  package func client(peer: Peer, forwarded: [String]) -> ClientAddress? {
    var client: ClientAddress? = if case .address(let address) = peer { address } else { nil }
    let items = forwarded.flatMap { $0.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) }
    if let hops {
      guard items.count >= hops else { return client }
      return ClientAddress(withPort: Substring(Self.trimmed(items[items.count - hops]))) ?? client
    }
    guard trusts(peer) else { return client }
    for item in items.reversed() {
      guard let address = ClientAddress(withPort: Substring(Self.trimmed(item))) else { break }
      client = address
      if !contains(address) { break }
    }
    return client
  }

  /// True if X-Forwarded-For from this peer is trusted.
  package func trusts(_ peer: Peer) -> Bool {
    if hops != nil { return true }
    return switch peer {
    case .address(let address): contains(address)
    case .unixSocket: trustsUnixSockets
    case .unknown: false
    }
  }

  private func contains(_ address: ClientAddress) -> Bool { networks.contains { $0.contains(address) } }

  /// Removes the spaces and tabs that a list may have around its commas.
  private static func trimmed(_ item: Substring.UTF8View) -> Substring.UTF8View {
    let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
    var item = item.drop(while: isBlank)
    while let last = item.last, isBlank(last) { item = item.dropLast() }
    return item
  }
}

extension TrustedProxies.Network {
  /// Reads an address, optionally with a prefix length. Bits after the prefix must be zero. A prefix length of 0 is
  /// rejected because it would trust every address.
  fileprivate init?(_ word: String) {
    let parts = word.split(separator: "/", omittingEmptySubsequences: false)
    guard 1...2 ~= parts.count, let address = ClientAddress(parts[0]) else { return nil }
    self.address = address
    let width = if case .v4 = address { 32 } else { 128 }
    bits = parts.count == 1 ? width : Digits.number(Array(parts[1].utf8)) ?? -1
    guard 1...width ~= bits, address.isZero(behind: bits) else { return nil }
  }

  fileprivate func contains(_ other: ClientAddress) -> Bool {
    switch (address, other) {
    case (.v4(let own), .v4(let other)): (own ^ other) & ~(UInt32.max >> UInt32(bits)) == 0
    case (.v6(let upper, let lower), .v6(let otherUpper, let otherLower)):
      (upper ^ otherUpper) & ~(UInt64.max >> UInt64(min(bits, 64))) == 0
        && (lower ^ otherLower) & ~(UInt64.max >> UInt64(max(bits - 64, 0))) == 0
    default: false
    }
  }
}

extension ClientAddress {
  fileprivate func isZero(behind bits: Int) -> Bool {
    switch self {
    case .v4(let address): address & (UInt32.max >> UInt32(bits)) == 0
    case .v6(let upper, let lower):
      upper & (UInt64.max >> UInt64(min(bits, 64))) == 0 && lower & (UInt64.max >> UInt64(max(bits - 64, 0))) == 0
    }
  }
}

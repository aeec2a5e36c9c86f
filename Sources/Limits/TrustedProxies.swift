/// Whose word about the client counts, and so which address a request has.
///
/// Only X-Forwarded-For is read. Forwarded, X-Real-IP, CF-Connecting-IP and their like never count: a proxy that sets one
/// of them passes on what a client wrote in the others.
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
  /// Every request came through so many proxies of ours, whatever their addresses.
  private var hops: Int?

  /// Nobody.
  package init() {}

  /// Reads TRUSTED_PROXIES: addresses, networks such as `10.0.0.0/8` and the word `unix`, separated by commas; or
  /// `hops:N` with N from 1 to 16.
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

  /// What is wrong with a value of TRUSTED_PROXIES, as the end of a sentence that begins with its name.
  package static func fault(_ value: String) -> String? {
    TrustedProxies(value) == nil
      ? "must be addresses, networks like 10.0.0.0/8 (no bit behind the width, no width of 0) or unix, separated by commas; or hops: and a number from 1 to 16"
      : nil
  }

  /// The client of a request: the peer, or where the peer is trusted the right-most address of X-Forwarded-For that is
  /// not. What is no address ends the search, and the last trusted one is the client; what stands left of it may be
  /// anybody's invention. Nil when there is no address at all.
  ///
  /// - Parameter forwarded: the fields X-Forwarded-For in their order.
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

  /// Whether the word of this peer about its clients counts.
  package func trusts(_ peer: Peer) -> Bool {
    if hops != nil { return true }
    return switch peer {
    case .address(let address): contains(address)
    case .unixSocket: trustsUnixSockets
    case .unknown: false
    }
  }

  private func contains(_ address: ClientAddress) -> Bool { networks.contains { $0.contains(address) } }

  /// Without the blanks and tabs that a list may have around its commas.
  private static func trimmed(_ item: Substring.UTF8View) -> Substring.UTF8View {
    let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
    var item = item.drop(while: isBlank)
    while let last = item.last, isBlank(last) { item = item.dropLast() }
    return item
  }
}

extension TrustedProxies.Network {
  /// An address, or one with the number of its leading bits; the bits behind them must be zero. None at all would trust
  /// everybody.
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

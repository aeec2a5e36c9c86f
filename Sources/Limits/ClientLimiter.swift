/// Whom a request is counted for.
package enum RateKey: Sendable, Hashable {
  case v4(UInt32)
  /// The upper half of an IPv6 address: whoever has one address of a /64 has all of them.
  case v6(UInt64)
  /// A hash of a secret that was presented; the secret itself is not kept.
  case secret(Int)
  /// Any other name, byte for byte.
  case name([UInt8])
  /// All those whose address is not known.
  case unknown

  package init(_ address: ClientAddress?) {
    switch address {
    case .v4(let address): self = .v4(address)
    case .v6(let upper, _): self = .v6(upper)
    case nil: self = .unknown
    }
  }

  package init(name: String) { self = .name(Array(name.utf8)) }
}

/// The limiter of one class: a bound for each client, and for IPv6 a second one, eight times as high, for the /48 around
/// it, which is what a site is given and has 65,536 clients in it. A request must be within both.
package struct ClientLimiter: Sendable {
  private static let networkFactor = 8
  private var clients: RateLimiter<RateKey>
  private var networks: RateLimiter<UInt64>

  package init(_ limit: RateLimit, capacity: Int? = nil) {
    clients = RateLimiter(limit, capacity: capacity)
    networks = RateLimiter(limit.times(Self.networkFactor), capacity: capacity)
  }

  /// How many keys are remembered, and how many may be.
  package var count: Int { clients.count + networks.count }
  package var capacity: Int { clients.capacity + networks.capacity }

  /// Counts the request if both bounds admit it. The verdict is that of the tighter one.
  package mutating func admit(_ key: RateKey, at now: Int) -> RateVerdict {
    guard case .v6(let upper) = key else { return clients.admit(key, at: now) }
    let judged = judge(key, at: now)
    guard judged.isAllowed else { return judged }
    let (own, network) = (clients.admit(key, at: now), networks.admit(upper >> 16, at: now))
    return network.remaining < own.remaining ? network : own
  }

  /// What `admit` would say; counts nothing. Of two refusals it is the longer one.
  package func judge(_ key: RateKey, at now: Int) -> RateVerdict {
    let own = clients.judge(key, at: now)
    guard case .v6(let upper) = key else { return own }
    let network = networks.judge(upper >> 16, at: now)
    return [own, network].filter { !$0.isAllowed }.max { $0.resetsIn < $1.resetsIn } ?? own
  }
}

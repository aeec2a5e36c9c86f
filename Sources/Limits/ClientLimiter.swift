/// The key that a request is counted under.
package enum RateKey: Sendable, Hashable {
  case v4(UInt32)
  /// The upper half of an IPv6 address: a client with one address of a /64 usually controls all of them.
  case v6(UInt64)
  /// The hash of a presented secret. The secret itself is not kept.
  case secret(Int)
  /// Any other name, compared byte for byte.
  case name([UInt8])
  /// All clients whose address is unknown.
  case unknown

  package init(_ address: ClientAddress?) {
    switch address {
    case .v4(let address): self = .v4(address)
    case .v6(let upper, _): self = .v6(upper)
    case nil: self = .unknown
    }
  }

  /// The /48 around an IPv6 address, as the key of its first /64; any other key is unchanged.
  package var network: RateKey {
    guard case .v6(let upper) = self else { return self }
    return .v6(upper & ~0xFFFF)
  }

  package init(name: String) { self = .name(Array(name.utf8)) }
}

/// The rate limiter of one class. It limits each client. For IPv6 it also limits the surrounding /48, at eight times
/// the client's limit: a site usually gets a /48, which holds 65,536 clients. A request must be within both limits.
package struct ClientLimiter: Sendable {
  static let networkFactor = 8
  private var clients: RateLimiter<RateKey>
  private var networks: RateLimiter<UInt64>

  package init(_ limit: RateLimit, capacity: Int? = nil) {
    clients = RateLimiter(limit, capacity: capacity)
    networks = RateLimiter(limit.times(Self.networkFactor), capacity: capacity)
  }

  /// The number of keys in memory, and its maximum.
  package var count: Int { clients.count + networks.count }
  package var capacity: Int { clients.capacity + networks.capacity }

  /// Counts the request if both limits admit it. Returns the verdict of the tighter limit.
  package mutating func admit(_ key: RateKey, at now: Int) -> RateVerdict {
    guard case .v6(let upper) = key else { return clients.admit(key, at: now) }
    let judged = judge(key, at: now)
    guard judged.isAllowed else { return judged }
    let (own, network) = (clients.admit(key, at: now), networks.admit(upper >> 16, at: now))
    return network.remaining < own.remaining ? network : own
  }

  /// Gives back an admission, whole or by half, and returns the remaining allowance: the verdict of the tighter limit.
  package mutating func giveBack(_ key: RateKey, countedAt time: Int, half: Bool, at now: Int) -> RateVerdict {
    clients.giveBack(key, countedAt: time, half: half)
    guard case .v6(let upper) = key else { return clients.judge(key, at: now) }
    networks.giveBack(upper >> 16, countedAt: time, half: half)
    let (own, network) = (clients.judge(key, at: now), networks.judge(upper >> 16, at: now))
    return network.remaining < own.remaining ? network : own
  }

  /// Returns the verdict that `admit` would give, without counting the request. If both limits refuse it, the longer
  /// refusal is returned.
  package func judge(_ key: RateKey, at now: Int) -> RateVerdict {
    let own = clients.judge(key, at: now)
    guard case .v6(let upper) = key else { return own }
    let network = networks.judge(upper >> 16, at: now)
    return [own, network].filter { !$0.isAllowed }.max { $0.resetsIn < $1.resetsIn } ?? own
  }
}

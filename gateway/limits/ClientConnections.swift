import Contract
import Limits
import Synchronization

/// Determines the client of a request, and limits the number of connections of each client.
final class ClientConnections: Sendable {
  private let proxies: TrustedProxies
  private let log: Log
  private let limit: Int
  private let open = Mutex<[RateKey: Int]>([:])
  private let hasWarnedOfProxy = Atomic(false)
  private let hasWarnedOfLimit = Atomic(false)

  /// - Parameter limit: how many connections a client may have open. It does not apply to trusted proxies and to peers
  ///   without an address.
  init(proxies: TrustedProxies, limit: Int, log: Log) {
    self.proxies = proxies
    self.limit = limit
    self.log = log
  }

  /// Counts a new connection. False if its client has too many; then the connection is not counted, and the caller must
  /// close it.
  func connect(_ peer: TrustedProxies.Peer) -> Bool {
    guard let key = limitedKey(of: peer) else { return true }
    let isCounted = open.withLock { open in
      guard open[key, default: 0] < limit else { return false }
      open[key, default: 0] += 1
      return true
    }
    if !isCounted, !hasWarnedOfLimit.exchange(true, ordering: .relaxed) {
      log.warn("A client has \(limit) connections open: further ones are refused (logged once)")
    }
    return isCounted
  }

  /// True if the number of the peer's connections is limited.
  func limits(_ peer: TrustedProxies.Peer) -> Bool { limitedKey(of: peer) != nil }

  /// Removes a counted connection that has ended.
  func disconnect(_ peer: TrustedProxies.Peer) {
    guard let key = limitedKey(of: peer) else { return }
    open.withLock { open in
      let left = open[key, default: 1] - 1
      open[key] = left > 0 ? left : nil
    }
  }

  private func limitedKey(of peer: TrustedProxies.Peer) -> RateKey? {
    guard case .address(let address) = peer, !proxies.trusts(peer) else { return nil }
    return RateKey(address)
  }

  /// Returns the address of the client behind `peer`, from the X-Forwarded-For of its request; nil if it is unknown.
  func address(peer: TrustedProxies.Peer, forwardedFor: [String]) -> ClientAddress? {
    if proxies == TrustedProxies(), !forwardedFor.isEmpty, Self.isLocal(peer),
      !hasWarnedOfProxy.exchange(true, ordering: .relaxed)
    {
      log.warn("A proxy on this machine is not in TRUSTED_PROXIES: all its clients are counted as one")
    }
    return proxies.client(peer: peer, forwarded: forwardedFor)
  }

  private static func isLocal(_ peer: TrustedProxies.Peer) -> Bool {
    switch peer {
    case .address(.v4(let address)): address >> 24 == 127
    case .address(let address): address == .v6(0, 1)
    case .unixSocket: true
    case .unknown: false
    }
  }
}

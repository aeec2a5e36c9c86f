import Handler
import Limits
import Synchronization

/// Who the client of a request is, and what it may still do.
final class Clients: Sendable {
  let limits: ClientLimits
  private let proxies: TrustedProxies
  private let log: Log
  private let connectionsLimit: Int
  private let connections = Mutex<[RateKey: Int]>([:])
  private let hasWarned = Atomic(false)
  private let hasWarnedOfConnections = Atomic(false)

  /// - Parameter connections: how many a client may have open; a trusted proxy, and a peer without an address, any number.
  init(limits: ClientLimits, proxies: TrustedProxies, connections: Int, log: Log) {
    self.limits = limits
    self.proxies = proxies
    connectionsLimit = connections
    self.log = log
  }

  /// Counts a connection that has been opened. False when its client has too many: it must be closed, and does not count.
  func connect(_ peer: TrustedProxies.Peer) -> Bool {
    guard let key = bounded(peer) else { return true }
    let isTaken = connections.withLock { connections in
      guard connections[key, default: 0] < connectionsLimit else { return false }
      connections[key, default: 0] += 1
      return true
    }
    if !isTaken, !hasWarnedOfConnections.exchange(true, ordering: .relaxed) {
      log.warn("A client has \(connectionsLimit) connections open: it gets no more (said once)")
    }
    return isTaken
  }

  /// A connection that was counted has ended.
  func disconnect(_ peer: TrustedProxies.Peer) {
    guard let key = bounded(peer) else { return }
    connections.withLock { connections in
      let left = connections[key, default: 1] - 1
      connections[key] = left > 0 ? left : nil
    }
  }

  private func bounded(_ peer: TrustedProxies.Peer) -> RateKey? {
    guard case .address(let address) = peer, !proxies.trusts(peer) else { return nil }
    return RateKey(address)
  }

  /// The client's address; nil where nobody knows it.
  func address(of head: RequestHead, peer: TrustedProxies.Peer) -> ClientAddress? {
    if proxies == TrustedProxies(), !head.forwardedFor.isEmpty, Self.isLocal(peer),
      !hasWarned.exchange(true, ordering: .relaxed)
    {
      log.warn("A proxy on this machine is not in TRUSTED_PROXIES: all its clients are counted as one")
    }
    return proxies.client(peer: peer, forwarded: head.forwardedFor)
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

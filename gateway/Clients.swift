import Handler
import Limits
import Synchronization

/// Who the client of a request is, and what it may still do.
final class Clients: Sendable {
  let limits: ClientLimits
  private let proxies: TrustedProxies
  private let log: Log
  private let hasWarned = Atomic(false)

  init(limits: ClientLimits, proxies: TrustedProxies, log: Log) {
    self.limits = limits
    self.proxies = proxies
    self.log = log
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

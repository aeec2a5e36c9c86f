import Contract
import Limits
import Synchronization

/// The rate limits of all classes, shared by all connections. It adds a lock and a clock to `ClientLimiter`.
final class ClientRateLimits: Sendable {
  private struct State: Sendable {
    var classes: [RateClass: ClientLimiter]
    var refusedKeys = ClientLimiter(.refusedKeys)
    /// Hashes of the keys that a handler has accepted. Keys that were only presented are not included.
    var acceptedKeys: Set<Int> = []

    /// A random key makes room. If it were always the first of the set, keys with low hashes would only replace each
    /// other.
    mutating func remember(_ secret: Int) {
      if acceptedKeys.count >= ClientRateLimits.acceptedKeysLimit, !acceptedKeys.contains(secret),
        let other = acceptedKeys.randomElement()
      {
        acceptedKeys.remove(other)
      }
      acceptedKeys.insert(secret)
    }
  }

  /// Far more than an agency's keys and sessions at one time. Old sessions stay until others replace them.
  private static let acceptedKeysLimit = 1024
  private let state: Mutex<State>
  private let start = ContinuousClock.now

  /// - Parameter limits: the limit of each class. The requests of a class without a limit are not counted.
  init(_ limits: [RateClass: RateLimit]) {
    state = Mutex(State(classes: limits.mapValues { ClientLimiter($0) }))
  }

  /// Milliseconds on a monotonic clock.
  private var now: Int { (ContinuousClock.now - start).milliseconds }

  /// Counts a request and returns its quota; nil if its class has no limit. On admin routes, each key that was accepted
  /// before has a count of its own, so that other clients at its address cannot use it up. Another key, which may be in
  /// the body, is never refused unseen: beyond the limit it is tested in turn.
  func admit(
    _ headers: [String: String], hasBody: Bool, of client: ClientAddress?, to description: Description
  ) -> Quota? {
    let rateClass = RateClass(rawValue: description.rateClass) ?? .default
    let isAdmin = description.access == .admin
    let secrets = isAdmin ? PresentedSecrets(headers) : PresentedSecrets()
    return state.withLock { state in
      let known = secrets.hashes.first { state.acceptedKeys.contains($0) }.map { RateKey.secret($0) }
      let key = known ?? RateKey(client)
      guard let verdict = state.classes[rateClass]?.admit(key, at: now) else { return nil }
      var quota = Quota(name: rateClass.rawValue, verdict: verdict, key: key)
      quota.wasAdmitted = !verdict.isAllowed && isAdmin && known == nil && (hasBody || !secrets.hashes.isEmpty)
      return quota
    }
  }

  /// How the key of an admin request is tested.
  enum KeyTest: Sendable {
    /// It was accepted before.
    case free
    /// It is one of the guesses that its address has. Counted before the test, so that parallel guesses gain nothing.
    case counted(RateKey, at: Int)
    /// The address has used up its guesses: its keys are tested one after another.
    case inTurn(RateKey)
  }

  /// Called when a request is complete, before its handler is called.
  func beginTest(_ headers: [String: String], of client: ClientAddress?, _ quota: Quota?) -> KeyTest {
    let secrets = PresentedSecrets(headers)
    let address = RateKey(client)
    return state.withLock { state in
      if secrets.hashes.contains(where: { state.acceptedKeys.contains($0) }) { return .free }
      if let quota, !quota.verdict.isAllowed { return .inTurn(address.network) }
      let verdict = state.refusedKeys.admit(address, at: now)
      return verdict.isAllowed ? .counted(address, at: verdict.countedAt) : .inTurn(address.network)
    }
  }

  /// Records the reply of an admin route. An accepted key, or the session that the reply opens, is known from then on;
  /// only a 401 uses up a guess. If this returns a quota, the caller must refuse the request with it: a wrong key that
  /// was tested in turn.
  func endTest(
    _ test: KeyTest, _ reply: Reply, to headers: [String: String], of client: ClientAddress?, _ quota: Quota?
  ) -> Quota? {
    let secrets = PresentedSecrets(headers)
    return state.withLock { state in
      if 200..<400 ~= reply.status {
        // With several sessions, it is not known which one is valid.
        let accepted = (secrets.hashes.count == 1 ? secrets.hashes : []) + PresentedSecrets(openedBy: reply).hashes
        for secret in accepted { state.remember(secret) }
      }
      guard reply.status == 401 else {
        if case .counted(let key, let time) = test {
          _ = state.refusedKeys.giveBack(key, countedAt: time, half: false, at: now)
        }
        return nil
      }
      for secret in secrets.hashes { state.acceptedKeys.remove(secret) }
      if case .free = test { _ = state.refusedKeys.admit(RateKey(client), at: now) }
      guard case .inTurn = test else { return nil }
      if let quota, !quota.verdict.isAllowed { return Quota(name: quota.name, verdict: quota.verdict) }
      return Quota(name: "refused-keys", verdict: state.refusedKeys.judge(RateKey(client), at: now))
    }
  }

  /// The quota that refuses a request because too many of its address wait for their turn.
  func noTurn(of client: ClientAddress?) -> Quota {
    state.withLock { Quota(name: "refused-keys", verdict: $0.refusedKeys.judge(RateKey(client), at: now)) }
  }

  /// Returns the quota after a reply with this status, which may give the admission back.
  func settle(_ quota: Quota, _ status: Int) -> Quota {
    guard quota.verdict.isAllowed, let key = quota.key, let rateClass = RateClass(rawValue: quota.name),
      let giveBack = Quota.GiveBack(after: status)
    else { return quota }
    return state.withLock { state in
      let verdict = state.classes[rateClass]?.giveBack(
        key, countedAt: quota.verdict.countedAt, half: giveBack == .half, at: now)
      return verdict.map { Quota(name: quota.name, verdict: $0, wasAdmitted: true) } ?? quota
    }
  }
}

import Contract
import Limits
import Synchronization
import Wire

/// The state of a rate limit when a request was counted, and the headers that report it.
struct Quota: Sendable {
  let name: String
  let verdict: RateVerdict
  /// The key under which the request was counted; nil if nothing of it can be given back.
  var key: RateKey?
  /// True if the request was admitted.
  var isAllowed: Bool { verdict.isAllowed || wasAdmitted }
  fileprivate(set) var wasAdmitted = false
  let at = Instant.now

  /// RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers), and the older X-RateLimit headers.
  /// X-RateLimit-Reset is in Unix seconds. The reset times tell when the next request is allowed, not when the whole
  /// limit is available again.
  var headers: [(String, String)] {
    let resetsAt = (at.milliseconds + verdict.resetsIn + 999) / 1000
    return [
      ("ratelimit-policy", "\"\(name)\";q=\(verdict.limit.count);w=\(verdict.limit.seconds)"),
      ("ratelimit", "\"\(name)\";r=\(verdict.remaining);t=\(verdict.resetsInSeconds)"),
      ("x-ratelimit-limit", String(verdict.limit.count)), ("x-ratelimit-remaining", String(verdict.remaining)),
      ("x-ratelimit-reset", String(resetsAt)),
    ]
  }

  var problem: Problem {
    Problem(.rateLimited, retryAfter: verdict.resetsInSeconds)
  }
}

/// The rate limits of all classes, shared by all connections. It adds a lock and a clock to `ClientLimiter`.
final class ClientRateLimits: Sendable {
  private struct State: Sendable {
    var classes: [RateClass: ClientLimiter]
    var refusedKeys = ClientLimiter(.refusedKeys)
    /// Hashes of the keys that a handler has accepted. Keys that were only presented are not included.
    var acceptedKeys: Set<Int> = []
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
  /// before has a count of its own. An address whose keys were refused too often is refused before its next key is
  /// checked. This does not affect keys that were accepted before, so other clients at an address cannot lock them out.
  func admit(_ headers: [String: String], of client: ClientAddress?, to description: Description) -> Quota? {
    let rateClass = RateClass(rawValue: description.rateClass) ?? .default
    let address = RateKey(client)
    let isAdmin = description.access == .admin
    let secret = isAdmin ? Self.presentedKey(headers) : nil
    return state.withLock { state in
      let now = self.now
      let known = secret.flatMap { state.acceptedKeys.contains($0) ? RateKey.secret($0) : nil }
      if isAdmin, known == nil {
        let verdict = state.refusedKeys.judge(address, at: now)
        if !verdict.isAllowed { return Quota(name: "refused-keys", verdict: verdict) }
      }
      guard let verdict = state.classes[rateClass]?.admit(known ?? address, at: now) else { return nil }
      return Quota(name: rateClass.rawValue, verdict: verdict, key: known ?? address)
    }
  }

  /// Returns the quota after a reply with this status. A failure of the service costs the client nothing, and a request
  /// that it must correct costs half, so that two typing errors do not lock a visitor out. Until the reply, every
  /// request counts, so a client never has more requests in progress than its limit allows.
  func settle(_ quota: Quota, _ status: Int) -> Quota {
    guard quota.verdict.isAllowed, let key = quota.key, let rateClass = RateClass(rawValue: quota.name) else {
      return quota
    }
    let isFailure = status >= 500
    guard isFailure || [400, 413, 415, 422].contains(status) else { return quota }
    return state.withLock { state in
      let verdict = state.classes[rateClass]?.giveBack(
        key, countedAt: quota.verdict.countedAt, half: !isFailure, at: now)
      return verdict.map { Quota(name: quota.name, verdict: $0, wasAdmitted: true) } ?? quota
    }
  }

  /// Records the reply of an admin route: an accepted key is known from then on, and a 401 counts against its address.
  /// If this returns a quota, the caller must refuse the request with it. So if several guesses are sent at once, no
  /// more of them are answered than the limit allows.
  func learn(_ status: Int, to headers: [String: String], of client: ClientAddress?) -> Quota? {
    let secret = Self.presentedKey(headers)
    return state.withLock { state in
      if 200..<400 ~= status, let secret, !state.acceptedKeys.contains(secret) {
        // A random key is removed. If it were always the first of the set, keys with low hashes would only replace
        // each other.
        if state.acceptedKeys.count >= Self.acceptedKeysLimit, let other = state.acceptedKeys.randomElement() {
          state.acceptedKeys.remove(other)
        }
        state.acceptedKeys.insert(secret)
      }
      guard status == 401 else { return nil }
      if let secret { state.acceptedKeys.remove(secret) }
      let verdict = state.refusedKeys.admit(RateKey(client), at: now)
      return verdict.isAllowed ? nil : Quota(name: "refused-keys", verdict: verdict)
    }
  }

  /// Returns a hash of the presented key, or of the session if there is no key. The seed of the hash differs in every
  /// process. Nil if two are presented, because it is not known which one the handler will check.
  private static func presentedKey(_ headers: [String: String]) -> Int? {
    let authorization = headers["authorization"] ?? ""
    let bearer = authorization.prefix(7).lowercased() == "bearer " ? authorization.dropFirst(7) : nil
    var keys = [headers["x-admin-api-key"].map { $0[...] }, bearer].compactMap { $0 }
    if keys.isEmpty { keys = sessions(headers["cookie"] ?? "") }
    guard keys.count == 1, headers["authorization"] == nil || bearer != nil else { return nil }
    var hasher = Hasher()
    for byte in keys[0].utf8 where byte != 0x20 && byte != 0x09 { hasher.combine(byte) }
    return hasher.finalize()
  }

  /// Returns the values of the session cookies (RFC 6265 §4.2.1).
  private static func sessions(_ cookies: String) -> [Substring] {
    cookies.split(separator: ";").map { $0.drop { $0 == " " } }
      .filter { $0.hasPrefix("leadpipe_session=") }.map { $0.dropFirst("leadpipe_session=".count) }
  }
}

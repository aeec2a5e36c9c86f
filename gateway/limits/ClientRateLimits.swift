import Handler
import Limits
import Synchronization
import Wire

/// A rate limit as it stood when a request was counted, and how the reply says so.
struct Quota: Sendable {
  let name: String
  let verdict: RateVerdict
  let at = Instant.now

  /// RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers), and the older names that clients know; the last
  /// is in Unix seconds. Each tells when the next request is given back, not when all of them are.
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
    Problem(.tooManyRequests, "too many requests; try again later", retryAfter: verdict.resetsInSeconds)
  }
}

/// The limits of all classes with what they remember, for every connection: a lock and a clock around `ClientLimiter`.
final class ClientLimits: Sendable {
  private struct State: Sendable {
    var classes: [RateClass: ClientLimiter]
    var refusedKeys = ClientLimiter(.refusedKeys)
    /// Hashes of keys that a handler has let in; a key that was only shown is nobody's.
    var acceptedKeys: Set<Int> = []
  }

  /// Far more than an agency has keys and sessions at a time; old sessions stay until others take their room.
  private static let acceptedKeysLimit = 1024
  private let state: Mutex<State>
  private let start = ContinuousClock.now

  /// A class without a limit is not counted.
  init(_ limits: [RateClass: RateLimit]) {
    state = Mutex(State(classes: limits.mapValues { ClientLimiter($0) }))
  }

  /// Never goes back.
  private var now: Int { (ContinuousClock.now - start).milliseconds }

  /// Counts a request where its class has a limit. On admin routes each key that was let in before counts for itself, and
  /// an address whose keys were refused too often is held up before its next key is looked at, but not a key that was
  /// let in before: the others at its address cannot lock it out.
  func admit(_ head: RequestHead, of client: ClientAddress?, to description: Description) -> Quota? {
    let rateClass = RateClass(rawValue: description.rateClass) ?? .default
    let address = RateKey(client)
    let isAdmin = description.access == .admin
    let secret = isAdmin ? Self.presentedKey(head.headers) : nil
    return state.withLock { state in
      let now = self.now
      let known = secret.flatMap { state.acceptedKeys.contains($0) ? RateKey.secret($0) : nil }
      if isAdmin, known == nil {
        let verdict = state.refusedKeys.judge(address, at: now)
        if !verdict.isAllowed { return Quota(name: "refused-keys", verdict: verdict) }
      }
      guard let verdict = state.classes[rateClass]?.admit(known ?? address, at: now) else { return nil }
      return Quota(name: rateClass.rawValue, verdict: verdict)
    }
  }

  /// Learns from what an admin route answered: a key that was let in is known from then on, a 401 counts against its
  /// address. What this returns is refused with: several guesses may have been on their way at once, and no more are
  /// answered than the limit has.
  func learn(_ status: Int, to headers: [String: String], of client: ClientAddress?) -> Quota? {
    let secret = Self.presentedKey(headers)
    return state.withLock { state in
      if 200..<400 ~= status, let secret, !state.acceptedKeys.contains(secret) {
        // Any one makes room, at random: were it the set's first, those that hash low would make room for each other.
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

  /// A hash of the key that is shown, or else of the session, seeded anew in every process. Where two are shown nobody knows
  /// which one will count.
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

  /// The cookies that hold a session (RFC 6265 §4.2.1).
  private static func sessions(_ cookies: String) -> [Substring] {
    cookies.split(separator: ";").map { $0.drop { $0 == " " } }
      .filter { $0.hasPrefix("leadpipe_session=") }.map { $0.dropFirst("leadpipe_session=".count) }
  }
}

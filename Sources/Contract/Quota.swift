import Limits
import Wire

/// The state of a rate limit when a request was counted, and the headers that report it.
package struct Quota: Sendable {
  package let name: String
  package let verdict: RateVerdict
  /// The key under which a gateway counted the request in its memory; nil if nothing of it can be given back there.
  package let key: RateKey?
  /// True if the request was admitted although the limit is used up.
  package var wasAdmitted: Bool
  /// True if the request was admitted, or may be tried in turn although the limit is used up.
  package var isAllowed: Bool { verdict.isAllowed || wasAdmitted }
  private let at = Instant.now

  package init(name: String, verdict: RateVerdict, key: RateKey? = nil, wasAdmitted: Bool = false) {
    self.name = name
    self.verdict = verdict
    self.key = key
    self.wasAdmitted = wasAdmitted
  }

  /// RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers), and the older X-RateLimit headers.
  /// X-RateLimit-Reset is in Unix seconds. The reset times tell when the next request is allowed, not when the whole
  /// limit is available again.
  package var headers: [(String, String)] {
    let resetsAt = (at.milliseconds + verdict.resetsIn + 999) / 1000
    return [
      ("ratelimit-policy", "\"\(name)\";q=\(verdict.limit.count);w=\(verdict.limit.seconds)"),
      ("ratelimit", "\"\(name)\";r=\(verdict.remaining);t=\(verdict.resetsInSeconds)"),
      ("x-ratelimit-limit", String(verdict.limit.count)), ("x-ratelimit-remaining", String(verdict.remaining)),
      ("x-ratelimit-reset", String(resetsAt)),
    ]
  }

  package var problem: Problem {
    Problem(.rateLimited, retryAfter: verdict.resetsInSeconds)
  }

  /// How much of an admission a reply gives back. A failure of the service costs the client nothing, and a request that
  /// it must correct costs half, so that two typing errors do not lock a visitor out. Until the reply, every request
  /// counts, so a client never has more requests in progress than its limit allows.
  package enum GiveBack: Sendable {
    case whole, half

    /// Nil for a reply that gives nothing back.
    package init?(after status: Int) {
      if status >= 500 {
        self = .whole
      } else if [400, 413, 415, 422].contains(status) {
        self = .half
      } else {
        return nil
      }
    }
  }
}

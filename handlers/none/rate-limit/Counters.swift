import Contract
import Limits
import Wire

/// The request counts of this process, for each rate class and for each limit given in a request.
struct Counters {
  /// The maximum number of limits. Each has its own table, and the requests of a stream may give any limit.
  private static let most = 64
  private let limits: [RateClass: RateLimit]
  private var limiters: [RateRequest.Measure: ClientLimiter] = [:]

  init(_ settings: Settings) {
    limits = Dictionary(
      uniqueKeysWithValues: RateClass.allCases.compactMap { rateClass in
        rateClass.limit(settings[rateClass.settingName]).map { (rateClass, $0) }
      })
  }

  /// Counts the request and returns the verdict that the gateway would reach.
  mutating func answer(_ request: RateRequest) throws(Problem) -> JSON {
    let limit: RateLimit?
    let name: String?
    switch request.measure {
    case .rateClass(let rateClass): (limit, name) = (limits[rateClass], rateClass.rawValue)
    case .limit(let given): (limit, name) = (given, nil)
    }
    let verdict = try limit.map { limit throws(Problem) in try admit(request, limit) }
    return [
      "key": .string(request.text), "class": JSON(name), "allowed": .bool(verdict?.isAllowed ?? true),
      "limit": JSON(verdict.map { "\($0.limit.count)/\($0.limit.seconds)" }), "remaining": JSON(verdict?.remaining),
      "resetAt": JSON(verdict.map { Instant(milliseconds: request.time.milliseconds + $0.resetsIn).iso8601 }),
      "retryAfterSeconds": JSON(verdict.flatMap { $0.isAllowed ? nil : $0.resetsInSeconds }),
    ]
  }

  private mutating func admit(_ request: RateRequest, _ limit: RateLimit) throws(Problem) -> RateVerdict {
    guard limiters[request.measure] != nil || limiters.count < Self.most else {
      throw Problem(.tooManyLimits, ["max": Self.most])
    }
    return limiters[request.measure, default: ClientLimiter(limit)]
      .admit(request.key, at: request.time.milliseconds)
  }

  static let schema: JSON = [
    "type": "object",
    "required": ["key", "class", "allowed", "limit", "remaining", "resetAt", "retryAfterSeconds"],
    "properties": [
      "key": ["type": "string"], "class": ["type": ["string", "null"]], "allowed": ["type": "boolean"],
      "limit": ["type": ["string", "null"]], "remaining": ["type": ["integer", "null"]],
      "resetAt": ["type": ["string", "null"], "format": "date-time"],
      "retryAfterSeconds": ["type": ["integer", "null"]],
    ],
  ]
}

import Contract
import Forms
import Limits
import Wire

/// One request to rate: its client, its time and its limit.
struct RateRequest {
  enum Measure: Hashable {
    case rateClass(RateClass)
    /// Nil for `off`.
    case limit(RateLimit?)
  }

  /// The key; an IP address is in its canonical form.
  let text: String
  let key: RateKey
  let time: Instant
  let measure: Measure

  init(checking body: JSON, now: Instant) throws(Problem) {
    var errors = FormError()
    let given = body["key"]?.string ?? ""
    if !(1...200 ~= given.unicodeScalars.count) { errors.add(.invalidLength, at: "key", ["min": 1, "max": 200]) }
    let address = ClientAddress(withPort: given)
    text = address?.text ?? given
    key = address.map { RateKey($0) } ?? RateKey(name: given)
    let time = Self.time(body["time"], now: now)
    if time == nil { errors.add(.invalidTimestamp, at: "time") }
    self.time = time ?? now
    let rateClass = body["class"].map { $0.string.flatMap { RateClass(rawValue: $0) } } ?? .default
    if rateClass == nil {
      errors.add(.invalidChoice, at: "class", ["choices": RateClass.allCases.map(\.rawValue).joined(separator: ", ")])
    }
    measure = body["limit"].map { .limit($0.string.flatMap { RateLimit($0) }) } ?? .rateClass(rateClass ?? .default)
    if let limit = body["limit"], RateClass.validate(limit.string ?? "") != nil {
      errors.add(.invalidRateLimit, at: "limit")
    }
    if body["limit"] != nil, body["class"] != nil { errors.add(.conflictingFields, at: "limit", ["other": "class"]) }
    guard errors.isEmpty else { throw Problem(errors) }
  }

  private static func time(_ json: JSON?, now: Instant) -> Instant? {
    switch json {
    case nil: now
    case .string(let text)?: Instant(iso8601: text)
    case let json?:
      json.integer.flatMap { 0...253_402_300_799_999 ~= $0 ? Instant(milliseconds: $0) : nil }
    }
  }

  static let schema: JSON = [
    "type": "object", "required": ["key"],
    "properties": [
      "key": ["type": "string", "minLength": 1, "maxLength": 200],
      "time": ["type": ["string", "integer"], "description": "ISO 8601 or Unix milliseconds; defaults to now"],
      "class": ["enum": .array(RateClass.allCases.map { .string($0.rawValue) })],
      "limit": [
        "type": "string",
        "pattern":
          "^(off|([1-9][0-9]{0,2}|1000)/([1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|3600))$",
      ],
    ],
  ]
}

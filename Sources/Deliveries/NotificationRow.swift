import Wire

extension NotificationTemplate {
  /// A label and how its value is read from an event's payload. If the value is absent, the notification shows N/A, or
  /// omits the row if it `mayBeAbsent`.
  struct Row: Sendable {
    let label: String
    var mayBeAbsent = false
    var isLong = false
    /// The clock is that of the agency.
    let value: @Sendable (JSON, LocalClock) -> String?

    init(_ label: String, _ key: String) { self.init(label, NotificationTemplate.line(key)) }

    init(_ label: String, mayBeAbsent: Bool = false, _ value: @escaping @Sendable (JSON) -> String?) {
      self.init(label, mayBeAbsent: mayBeAbsent) { payload, _ in value(payload) }
    }

    init(_ label: String, mayBeAbsent: Bool = false, _ value: @escaping @Sendable (JSON, LocalClock) -> String?) {
      self.label = label
      self.mayBeAbsent = mayBeAbsent
      self.value = value
    }

    /// A row whose value keeps its line feeds.
    static func long(_ label: String, _ key: String, mayBeAbsent: Bool = false) -> Row {
      var row = Row(label, mayBeAbsent: mayBeAbsent) { payload in text(payload[key], keepsLines: true) }
      row.isLong = true
      return row
    }
  }

  /// Reads the string or number under `key`, as one line.
  static func line(_ key: String) -> @Sendable (JSON) -> String? {
    { payload in text(payload[key], keepsLines: false) }
  }

  /// `85/100 (hot)`; only one of the two if the other is absent.
  static let score: @Sendable (JSON) -> String? = { payload in
    let quality = line("leadQuality")(payload)
    guard let score = payload["leadScore"]?.integer else { return quality }
    return "\(score)/100" + (quality.map { " (\($0))" } ?? "")
  }

  /// `30/100 (cold)`, before a rise.
  static let scoreBefore: @Sendable (JSON) -> String? = { payload in
    score(["leadScore": payload["leadScoreBefore"] ?? .null, "leadQuality": payload["risenFrom"] ?? .null])
  }

  /// `+971501234567, sara@example.com`: what the conversation had before.
  static let contactBefore: @Sendable (JSON) -> String? = { payload in
    let before = payload["contactBefore"] ?? .null
    let known = [line("customerPhone")(before), line("customerEmail")(before)].compactMap(\.self)
    return known.isEmpty ? nil : known.joined(separator: ", ")
  }

  /// `+97141234567 ext. 12`.
  static let phone: @Sendable (JSON) -> String? = { payload in
    line("customerPhone")(payload).map { $0 + (line("customerPhoneExtension")(payload).map { " ext. \($0)" } ?? "") }
  }

  /// The host of the property's URL, which the button would hide.
  static let propertyHost: @Sendable (JSON) -> String? = { payload in
    payload["propertyUrl"]?.string.flatMap(WebAddress.init)?.host
  }

  static let duration: @Sendable (JSON) -> String? = { payload in
    payload["durationMinutes"]?.integer.map { $0 == 1 ? "1 minute" : "\($0) minutes" }
  }

  /// Reads a time and shows it to the minute on the agency's clock: `Sat 28 Nov 2026, 10:05 (Asia/Dubai)`.
  static func moment(_ key: String) -> @Sendable (JSON, LocalClock) -> String? {
    { payload, clock in payload[key]?.instant.map(clock.message) }
  }

  /// `12 minutes left`, or `7 minutes over` for a negative number. 0 is a deadline that has just passed.
  static let remaining: @Sendable (JSON) -> String? = { payload in
    payload["minutesRemaining"]?.integer.map { minutes in
      guard minutes != 0 else { return "less than a minute over" }
      return "\(minutes.magnitude) minute\(minutes.magnitude == 1 ? "" : "s") \(minutes < 0 ? "over" : "left")"
    }
  }

  /// `300 conversations`; nil for none.
  static func conversations(_ key: String) -> @Sendable (JSON) -> String? {
    { payload in
      payload[key]?.integer.flatMap { $0 > 0 ? "\($0) conversation\($0 == 1 ? "" : "s")" : nil }
    }
  }

  /// Returns a string or number as text. Nil if it is absent, blank or of another type. Control characters and
  /// bidirectional control characters are dropped: intake drops them too, but a payload may have another source.
  static func text(_ json: JSON?, keepsLines: Bool) -> String? {
    let raw: String
    switch json {
    case .string(let text), .number(let text): raw = text
    default: return nil
    }
    var out = String.UnicodeScalarView()
    for scalar in raw.unicodeScalars {
      switch scalar.value {
      case 0x0A where keepsLines: out.append(scalar)
      case 0x09, 0x0A, 0x2028, 0x2029, 0x85: if out.last != " " { out.append(" ") }
      case 0..<0x20, 0x7F..<0xA0, 0x202A...0x202E, 0x2066...0x2069: continue
      default: out.append(scalar)
      }
    }
    let isBlank = { (scalar: Unicode.Scalar) in scalar.properties.isWhitespace }
    let trimmed = out.drop(while: isBlank).reversed().drop(while: isBlank).reversed()
    return trimmed.isEmpty ? nil : String(String.UnicodeScalarView(trimmed))
  }
}

import Wire

/// The outcome of one attempt, in terms that are the same for every provider.
package struct DeliveryOutcome: Sendable, Equatable {
  package enum Class: String, Sendable, CaseIterable {
    /// The provider accepted it.
    case delivered
    /// The provider accepted it and will report the result later.
    case accepted
    /// A temporary error: the same message may succeed later.
    case retry
    /// The channel asked Leadpipe to wait. This uses no attempt.
    case throttled
    /// The provider will never accept this message.
    case permanent
    /// The channel is misconfigured: it accepts no message until a person fixes it. This uses no attempt.
    case config
    /// The request was sent, but no usable response arrived: it may have been delivered.
    case unknown
    /// The lease passed to another worker. Nothing was sent and nothing is recorded.
    case lost
    /// It was begun but not sent: it returns to the queue. This uses no attempt.
    case deferred

    /// True if the channel accepts no message now.
    package var isRefusal: Bool { self == .throttled || self == .config }

    /// Reads the class of an outcome in JSON. Nil if it is missing or unknown.
    package init?(of outcome: JSON) {
      guard let name = outcome["class"]?.string else { return nil }
      self.init(rawValue: name)
    }
  }

  package var `class`: Class
  /// The HTTP or SMTP status; nil if none arrived.
  package var statusCode: Int?
  /// The provider's error code: `invalid_token`, `5.7.1`, `curl 28`.
  package var providerCode: String?
  /// How long to wait before the next attempt, in seconds, as the provider requested.
  package var retryAfterSeconds: Int?
  /// One sentence for the operator, without secrets or personal data.
  package var reason: String?
  /// The provider's message id.
  package var providerID: String?
  /// The subject with which it was sent.
  package var subject: String?

  package init(
    _ class: Class, statusCode: Int? = nil, providerCode: String? = nil, retryAfterSeconds: Int? = nil,
    reason: String? = nil, providerID: String? = nil, subject: String? = nil
  ) {
    self.class = `class`
    self.statusCode = statusCode
    self.providerCode = providerCode
    self.retryAfterSeconds = retryAfterSeconds
    self.reason = reason
    self.providerID = providerID
    self.subject = subject
  }
}

extension DeliveryOutcome {
  /// Notes on a delivered message that it was not sent in its intended form, and the provider's code for the reason.
  /// Other classes are left as they are: their reason already explains the outcome. A second note is appended to the
  /// first.
  package mutating func note(_ sentence: String, code: String) {
    guard `class` == .delivered else { return }
    reason = [reason, sentence].compactMap(\.self).joined(separator: "; ")
    providerCode = providerCode ?? code
  }

  package var document: JSON {
    let document: JSON = [
      "class": .string(`class`.rawValue), "statusCode": JSON(statusCode), "providerCode": JSON(providerCode),
      "retryAfterSeconds": JSON(retryAfterSeconds), "reason": JSON(reason), "providerId": JSON(providerID),
      "subject": JSON(subject),
    ]
    return document.withoutNulls
  }

  /// Reads an outcome from a delivery line. Nil if its class is missing or unknown.
  package init?(_ document: JSON) {
    guard let `class` = Class(of: document) else { return nil }
    self.init(
      `class`, statusCode: document["statusCode"]?.integer, providerCode: document["providerCode"]?.string,
      retryAfterSeconds: document["retryAfterSeconds"]?.integer, reason: document["reason"]?.string,
      providerID: document["providerId"]?.string, subject: document["subject"]?.string)
  }
}

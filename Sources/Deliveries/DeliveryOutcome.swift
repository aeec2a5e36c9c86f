import Wire

/// What became of one attempt to deliver, in the words that every provider's answers are put into.
package struct DeliveryOutcome: Sendable, Equatable {
  package enum Class: String, Sendable, CaseIterable {
    /// The provider has it.
    case delivered
    /// The provider took it and will report the end later.
    case accepted
    /// A passing fault: the same message may go through later.
    case retry
    /// The channel asks us to wait; this costs the message no attempt.
    case throttled
    /// This message will never be taken.
    case permanent
    /// The channel is set up wrongly; no message will be taken until a person mends it, and none is spent on it.
    case config
    /// The request left and no usable answer came: it may have been delivered.
    case unknown
    /// The delivery is no longer ours: its lease passed to another worker. Nothing was sent and nothing is recorded.
    case lost
    /// It was begun and not sent: it goes back, at no cost.
    case deferred

    /// Whether the channel takes nothing more now, whatever the message.
    package var isRefusal: Bool { self == .throttled || self == .config }

    /// The class of an outcome as JSON; nil when it is missing or unknown.
    package init?(of outcome: JSON) {
      guard let name = outcome["class"]?.string else { return nil }
      self.init(rawValue: name)
    }
  }

  package var `class`: Class
  /// The status of HTTP or SMTP; nil where none came.
  package var statusCode: Int?
  /// The provider's own word: `invalid_token`, `5.7.1`, `curl 28`.
  package var providerCode: String?
  /// How long the provider asks us to wait, in seconds.
  package var retryAfterSeconds: Int?
  /// One sentence for the operator, without secrets and personal data.
  package var reason: String?
  /// The provider's id of the message.
  package var providerID: String?
  /// The headline under which it went out.
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
  /// Says of what was delivered that it went out in another way than it was meant to, and by which word of the
  /// provider's; the outcome of anything else already says why. At most one note: a second one goes behind the first.
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

  /// Reads an outcome off a delivery line; nil when its class is missing or unknown.
  package init?(_ document: JSON) {
    guard let `class` = Class(of: document) else { return nil }
    self.init(
      `class`, statusCode: document["statusCode"]?.integer, providerCode: document["providerCode"]?.string,
      retryAfterSeconds: document["retryAfterSeconds"]?.integer, reason: document["reason"]?.string,
      providerID: document["providerId"]?.string, subject: document["subject"]?.string)
  }
}

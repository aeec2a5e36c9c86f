import Wire

/// A fault that the sink injects into a request or an email.
struct SinkFault: Sendable, Equatable {
  enum Way: String, Sendable, CaseIterable {
    /// The provider refuses, with one of its messages.
    case refuse
    /// The reply is delayed. The message is accepted before the delay.
    case slow
    /// There is no reply, and the connection stays open until the client closes it, or for a minute.
    case hang
    /// The connection is closed without a reply.
    case drop
    /// The connection is reset.
    case reset
    /// HTTP only: 200, with a body that the provider would not send.
    case garble
    /// HTTP only: 200, and the connection ends in the middle of the reply.
    case cut
    /// SMTP only: the first attempt is refused with 451, a later one is accepted.
    case greylist
    /// SMTP only: STARTTLS is offered, but no TLS handshake follows.
    case tls
  }

  /// When the fault occurs. HTTP has head (before the body is read) and body (after it); SMTP has body and the others.
  enum Stage: String, Sendable {
    case head, greeting, hello, auth, mail, rcpt, data, body

    static let http: [Stage] = [.head, .body]
    static let smtp: [Stage] = [.greeting, .hello, .auth, .mail, .rcpt, .data, .body]
  }

  var way: Way
  var stage = Stage.body
  /// The provider's message: Slack's error code, Telegram's description, Resend's error name, or an SMTP reply line.
  var said: String?
  /// The HTTP status.
  var status: Int?
  var retryAfter: Int?
  /// The new number of a group that has moved (Telegram).
  var migrateTo: Int?
  var milliseconds: Int?
  /// True if the message is stored anyway, without the sender getting a reply.
  var isTaken = false

  /// The kind for counting.
  var kind: String {
    switch way {
    case .refuse where stage == .body && status != nil: said ?? "status \(status ?? 0)"
    case .refuse: "\(said?.prefix(3) ?? "") at \(stage.rawValue)"
    case .slow, .garble, .cut, .tls: way.rawValue
    case .hang, .drop, .reset, .greylist: "\(way.rawValue) at \(stage.rawValue)"
    }
  }

  /// The fault in the form in which plans are read, without a default stage.
  var document: JSON {
    let usual = way.usualStage
    let document: JSON = [
      "fail": .string(way.rawValue), "at": stage == usual ? nil : .string(stage.rawValue), "say": JSON(said),
      "status": JSON(status),
      "retryAfter": JSON(retryAfter), "migrateTo": JSON(migrateTo), "milliseconds": JSON(milliseconds),
      "taken": isTaken ? true : nil,
    ]
    return document.withoutNulls
  }
}

extension SinkFault.Way {
  /// The default stage.
  var usualStage: SinkFault.Stage {
    switch self {
    case .greylist: .rcpt
    case .tls: .hello
    default: .body
    }
  }
}

import Wire

/// One way in which the sink fails a request or a mail.
struct SinkFault: Sendable, Equatable {
  enum Way: String, Sendable, CaseIterable {
    /// The provider says no, in its own words.
    case refuse
    /// The answer takes a while; the message has been taken before.
    case slow
    /// There is no answer, and the connection stays open until its client leaves it, or for a minute.
    case hang
    /// The connection is closed without an answer.
    case drop
    /// The connection is reset.
    case reset
    /// HTTP only: 200, with a body that the provider would not write.
    case garble
    /// HTTP only: 200, and the connection ends in the middle of the answer.
    case cut
    /// Mail only: the first attempt is refused with 451, a later one is taken.
    case greylist
    /// Mail only: STARTTLS is offered, and what follows is no TLS.
    case tls
  }

  /// When it happens: HTTP knows head (before the body is read) and body (after it); SMTP knows the others, and body.
  enum Stage: String, Sendable {
    case head, greeting, hello, auth, mail, rcpt, data, body

    static let http: [Stage] = [.head, .body]
    static let smtp: [Stage] = [.greeting, .hello, .auth, .mail, .rcpt, .data, .body]
  }

  var way: Way
  var stage = Stage.body
  /// The provider's words: Slack's, Telegram's description, a line of SMTP with its code.
  var said: String?
  /// HTTP's.
  var status: Int?
  var retryAfter: Int?
  /// The number under which Telegram has moved the group.
  var migrateTo: Int?
  var milliseconds: Int?
  /// The message is kept all the same; its sender cannot know.
  var isTaken = false

  /// The kind under which it is counted.
  var kind: String {
    switch way {
    case .refuse where stage == .body && status != nil: said ?? "status \(status ?? 0)"
    case .refuse: "\(said?.prefix(3) ?? "") at \(stage.rawValue)"
    case .slow, .garble, .cut, .tls: way.rawValue
    case .hang, .drop, .reset, .greylist: "\(way.rawValue) at \(stage.rawValue)"
    }
  }

  /// As it was told; the usual stage goes without saying.
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
  /// Where it happens when nothing else is said.
  var usualStage: SinkFault.Stage {
    switch self {
    case .greylist: .rcpt
    case .tls: .hello
    default: .body
    }
  }
}

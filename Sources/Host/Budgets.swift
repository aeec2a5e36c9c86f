import Contract
import Wire

/// How much a request may take: what its client may send, in how much time, and what its handler may.
package struct Budgets: Sendable, Equatable {
  /// In bytes: the request line with its end, and the fields of the head or of the trailers with theirs.
  package var requestLine = 8192
  package var headers = 16_384
  /// For the rest of a head whose first byte has come, and for a body.
  package var headerMs = 10_000
  package var bodyMs = 15_000
  /// In bytes. No body is larger than this, whatever a description says.
  package var body = 262_144
  /// The time of a handler, whatever a description says; nil where that alone counts.
  package var handlerMs: Int?
  /// In bytes: what a handler may write on stdout for a request, and how much of its stderr is passed on.
  package var reply = 1_048_576
  package var errors = 65_536
  /// Between TERM and KILL.
  package var graceMs = 2000

  /// Those of a handler: an admin's page of a hundred leads may be sixteen times as large, for strangers may have sent a lot.
  package func of(_ handler: HostedHandler) -> Budgets {
    var budgets = self
    if handler.description.access == .admin { budgets.reply *= 16 }
    return budgets
  }

  package init() {}

  /// From settings that have been checked.
  package init(_ settings: [String: String]) {
    func number(_ name: String) -> Int? { settings[name].flatMap { Int(strict: $0) } }
    requestLine = number("LEADPIPE_REQUEST_LINE") ?? requestLine
    headers = number("LEADPIPE_HEADERS") ?? headers
    headerMs = number("LEADPIPE_HEADER_MS") ?? headerMs
    bodyMs = number("LEADPIPE_BODY_MS") ?? bodyMs
    body = number("LEADPIPE_BODY") ?? body
    handlerMs = number("LEADPIPE_HANDLER_MS")
    reply = number("LEADPIPE_REPLY") ?? reply
    errors = number("LEADPIPE_STDERR") ?? errors
    graceMs = number("LEADPIPE_GRACE_MS") ?? graceMs
  }

  /// The least that is taken still lets an ordinary request pass. A handler takes an envelope of some 128 KiB beside its
  /// body: a head that fills the most of both may be more than that, and is then refused by the handler.
  package static let settings: [Setting] = [
    .number("LEADPIPE_REQUEST_LINE", 256...32_768), .number("LEADPIPE_HEADERS", 1024...65_536),
    .number("LEADPIPE_HEADER_MS", 100...600_000), .number("LEADPIPE_BODY_MS", 100...600_000),
    .number("LEADPIPE_BODY", 1024...16_777_216), .number("LEADPIPE_HANDLER_MS", 100...600_000),
    .number("LEADPIPE_REPLY", 1024...16_777_216), .number("LEADPIPE_STDERR", 0...16_777_216),
    .number("LEADPIPE_GRACE_MS", 0...5000),
  ]
}

extension HostedHandler {
  /// The same, with the limits that count where both it and the operator name one.
  package func held(to budgets: Budgets) -> HostedHandler {
    var handler = self
    handler.description.bodyLimit = min(description.bodyLimit, budgets.body)
    handler.description.timeLimitMs = min(description.timeLimitMs, budgets.handlerMs ?? .max)
    return handler
  }
}

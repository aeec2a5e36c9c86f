import Contract
import Wire

/// The limits of a request: what its client may send and how fast, and what its handler may use.
package struct Budgets: Sendable, Equatable {
  /// In bytes: the request line with its line end, and the header or trailer fields with theirs.
  package var requestLine = 8192
  package var headers = 16_384
  /// In milliseconds: for the rest of a request head after its first byte, for a body, and for a client that does not
  /// read its reply.
  package var headerMs = 10_000
  package var bodyMs = 15_000
  package var writeMs = 30_000
  /// In bytes. No body may be larger than this, whatever a description allows.
  package var body = 262_144
  /// The maximum time of a handler in milliseconds, whatever its description allows. If nil, only the description's
  /// limit applies.
  package var handlerMs: Int?
  /// In bytes: how much a handler may write to stdout for a request, and how much of its stderr is passed on.
  package var reply = 1_048_576
  package var errors = 65_536
  /// The time between TERM and KILL, in milliseconds.
  package var graceMs = 2000

  /// Returns the budgets of a handler. The reply of an admin handler may be sixteen times as large, because a page of a
  /// hundred leads contains whatever visitors have sent.
  package func of(_ handler: HostedHandler) -> Budgets {
    var budgets = self
    if handler.description.access == .admin { budgets.reply *= 16 }
    return budgets
  }

  package init() {}

  /// Reads the budgets from checked settings.
  package init(_ settings: [String: String]) {
    func number(_ name: String) -> Int? { settings[name].flatMap { Int(strict: $0) } }
    requestLine = number("LEADPIPE_REQUEST_LINE") ?? requestLine
    headers = number("LEADPIPE_HEADERS") ?? headers
    headerMs = number("LEADPIPE_HEADER_MS") ?? headerMs
    bodyMs = number("LEADPIPE_BODY_MS") ?? bodyMs
    writeMs = number("LEADPIPE_WRITE_MS") ?? writeMs
    body = number("LEADPIPE_BODY") ?? body
    handlerMs = number("LEADPIPE_HANDLER_MS")
    reply = number("LEADPIPE_REPLY") ?? reply
    errors = number("LEADPIPE_STDERR") ?? errors
    graceMs = number("LEADPIPE_GRACE_MS") ?? graceMs
  }

  /// The minimums still allow ordinary requests. A handler accepts an envelope of about 128 KiB in addition to the
  /// body. A request line and headers that are both at their maximum can exceed that; the handler then rejects the
  /// request.
  package static let settings: [Setting] = [
    .number("LEADPIPE_REQUEST_LINE", 256...32_768), .number("LEADPIPE_HEADERS", 1024...65_536),
    .number("LEADPIPE_HEADER_MS", 100...600_000), .number("LEADPIPE_BODY_MS", 100...600_000),
    .number("LEADPIPE_WRITE_MS", 100...600_000),
    .number("LEADPIPE_BODY", 1024...16_777_216), .number("LEADPIPE_HANDLER_MS", 100...600_000),
    .number("LEADPIPE_REPLY", 1024...16_777_216), .number("LEADPIPE_STDERR", 0...16_777_216),
    .number("LEADPIPE_GRACE_MS", 0...5000),
  ]
}

extension HostedHandler {
  /// Returns a copy with the lower of the handler's own limits and the operator's.
  package func held(to budgets: Budgets) -> HostedHandler {
    var handler = self
    handler.description.bodyLimit = min(description.bodyLimit, budgets.body)
    handler.description.timeLimitMs = min(description.timeLimitMs, budgets.handlerMs ?? .max)
    return handler
  }
}

/// The log lines that operators search for. Their text is part of the contract; pairs such as `requestId=…` follow it.
package struct OperatorLine: Sendable {
  package let level: Log.Level
  /// The line. Its variable part is in angle brackets.
  package let text: String
  /// Which program writes the line, and when.
  package let origin: String

  package static let workerStarted = OperatorLine(
    level: .info, text: "Notification worker started", origin: "The worker, when it is ready.")
  package static let conversationCreated = OperatorLine(
    level: .info, text: "Successfully created conversation <id>", origin: "A capture handler, after its commit.")
  package static let eventEmitted = OperatorLine(
    level: .info, text: "Event emitted: <event>",
    origin: "A capture handler (`lead.created`), or newsletter-subscribe (`newsletter.subscribed`).")
  package static let eventNotEmitted = OperatorLine(
    level: .error, text: "Failed to emit <event> event",
    origin: "The same handlers. The request was stored, but the event tables do not exist.")
  package static let conversationInsertError = OperatorLine(
    level: .error, text: "Conversation insert error",
    origin: "A capture handler. The lead was not stored, or the connection to the database broke during the call.")
  package static let notificationsSent = OperatorLine(
    level: .info, text: "Notifications sent via: <channels>",
    origin: """
      delivery-record, once every delivery of an event has had its first attempt and none is being sent, and again \
      when a later attempt changes the result.
      """)
  package static let allChannelsFailed = OperatorLine(
    level: .warn, text: "All notification channels failed",
    origin: "delivery-record, at the same point, if nothing has been sent.")

  package static let all = [
    workerStarted, conversationCreated, eventEmitted, eventNotEmitted, conversationInsertError, notificationsSent,
    allChannelsFailed,
  ]

  /// Returns the text with `value` in place of the part in angle brackets.
  package func text(with value: String) -> String {
    guard let start = text.utf8.firstIndex(of: UInt8(ascii: "<")), let end = text.utf8.firstIndex(of: UInt8(ascii: ">"))
    else { return text }
    return text[..<start] + value + text[text.utf8.index(after: end)...]
  }
}

extension Log {
  /// Writes one of the lines that operators search for. `value` replaces the part in
  /// angle brackets.
  package func write(_ line: OperatorLine, _ value: String = "", facts: KeyValuePairs<String, String> = [:]) {
    write(line.level, line.text(with: value), facts)
  }
}

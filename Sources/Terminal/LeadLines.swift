/// Turns the log of all services into what a person at a terminal wants to see: one short line for each lead, with the
/// channels that it was sent to. Warnings, errors and lines that are not log lines stay as they are. Routine lines,
/// such as requests that succeeded, are left out.
package struct LeadLines {
  /// How long a line about a lead waits for its notifications, in milliseconds.
  private static let patience = 3000
  private static let routine = [
    "Event emitted: ", "Gateway listening", "Gateway stopped", "Operations listening", "Sink listening",
    "Notification worker started", "Notification worker stopped",
  ]
  private static let subjects: [(start: String, text: @Sendable (Substring) -> String)] = [
    ("Successfully created conversation ", { "lead \(IDPrefix.shown($0)) stored" }),
    ("Continued conversation ", { "lead \(IDPrefix.shown($0)) continued" }),
    ("Repeated the reply for conversation ", { "lead \(IDPrefix.shown($0)) sent again, stored already" }),
    ("Subscribed to the newsletter", { _ in "newsletter subscription stored" }),
  ]

  /// Lines that wait for the notifications of their request.
  private var waiting: [(request: String, time: Substring, text: String, since: Int)] = []

  package init() {}

  /// Takes a line of the log and returns the lines to show now. `now` is in milliseconds.
  package mutating func take(_ line: String, now: Int) -> [String] {
    var shown = due(now: now)
    guard let (time, message) = Self.information(line) else {
      // A warning about a lead follows the line of the lead.
      let request = Self.fact("requestId", of: line[...])
      if let index = waiting.firstIndex(where: { $0.request == request }) {
        let lead = waiting.remove(at: index)
        shown.append("\(lead.time)  \(lead.text)")
      }
      return shown + [line]
    }
    let request = Self.fact("requestId", of: message)
    if let subject = Self.subject(message) {
      guard let request else { return shown + ["\(time)  \(subject)"] }
      waiting.append((request, time, subject, now))
    } else if let channels = Self.channels(message) {
      if let index = waiting.firstIndex(where: { $0.request == request }) {
        let line = waiting.remove(at: index)
        shown.append("\(line.time)  \(line.text), sent via \(channels)")
      } else {
        let lead = Self.fact("conversation", of: message).map { "lead \(IDPrefix.shown($0))" }
        shown.append("\(time)  \(lead ?? "notifications") sent via \(channels)")
      }
    } else if let text = Self.request(message) {
      if !text.isEmpty { shown.append("\(time)  \(text)") }
    } else if !Self.isRoutine(message) {
      shown.append("\(time)  \(message)")
    }
    return shown
  }

  /// Returns the lines that have waited long enough.
  package mutating func due(now: Int) -> [String] {
    let late = waiting.filter { $0.since + Self.patience <= now }
    waiting.removeAll { $0.since + Self.patience <= now }
    return late.map { "\($0.time)  \($0.text)" }
  }

  /// Returns all lines that still wait, at the end of the log.
  package mutating func end() -> [String] { due(now: .max - Self.patience) }

  /// True if lines wait for their notifications.
  package var isWaiting: Bool { !waiting.isEmpty }

  /// The time of day and the message of a line `2026-11-27T23:38:28.077Z [INFO] message`; nil for any other line.
  private static func information(_ line: String) -> (time: Substring, message: Substring)? {
    let parts = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[1] == "[INFO]", parts[0].utf8.count == 24, parts[0].hasSuffix("Z") else { return nil }
    return (parts[0].dropFirst(11).prefix(8), parts[2])
  }

  private static func fact(_ name: String, of message: Substring) -> String? {
    message.split(separator: " ").last { $0.hasPrefix(name + "=") }.map { String($0.dropFirst(name.count + 1)) }
  }

  private static func subject(_ message: Substring) -> String? {
    subjects.first { message.hasPrefix($0.start) }.map { $0.text(message.dropFirst($0.start.count)) }
  }

  /// The channels in `Notifications sent via: slack, email event=…`.
  private static func channels(_ message: Substring) -> String? {
    let start = "Notifications sent via: "
    guard message.hasPrefix(start) else { return nil }
    return message.dropFirst(start.count).split(separator: " ").prefix { !$0.contains("=") }.joined(separator: " ")
  }

  /// The request of an access line that failed, such as `POST /api/contact 400`; empty if it succeeded; nil for any
  /// other message. A path without a route is in `path=`, and `-` is in its place.
  private static func request(_ message: Substring) -> String? {
    let words = message.split(separator: " ")
    guard words.count >= 3, words[0].utf8.allSatisfy({ 0x41...0x5A ~= $0 }), words[1].hasPrefix("/") || words[1] == "-",
      let status = Int(words[2])
    else { return nil }
    let path = words[1] == "-" ? fact("path", of: message) ?? "-" : String(words[1])
    return status < 400 ? "" : "\(words[0]) \(path) \(status)"
  }

  private static func isRoutine(_ message: Substring) -> Bool {
    // `slack delivery ID delivered`
    let words = message.split(separator: " ", maxSplits: 4)
    let isDelivered = words.count > 3 && words[1] == "delivery" && ["delivered", "accepted"].contains(words[3])
    return isDelivered || routine.contains { message.hasPrefix($0) }
  }
}

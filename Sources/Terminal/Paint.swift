import Glibc

/// Colours for a terminal.
package struct Paint: Sendable {
  package let isOn: Bool

  package init(isOn: Bool) { self.isOn = isOn }

  /// On if the descriptor is a terminal, NO_COLOR is not set (no-color.org) and TERM is not `dumb`.
  package init(_ environment: [String: String], descriptor: Int32 = 1) {
    let hasNoColor = environment["NO_COLOR"].map { !$0.isEmpty } ?? false
    isOn = isatty(descriptor) == 1 && !hasNoColor && environment["TERM"] != "dumb"
  }

  package func bold(_ text: String) -> String { wrap(text, "1") }

  /// Colours a word that says how something is: red for what needs a person, yellow for what waits, green for what is
  /// done. Other words stay as they are.
  package func state(_ word: String) -> String {
    // `paused (config)` has its cause in parentheses.
    switch word.split(separator: " ").first ?? "" {
    case "given-up", "failed", "permanent", "config", "breached", "paused", "revoked": wrap(word, "31")
    case "waiting", "parked", "retry", "throttled", "unknown", "warning", "probing": wrap(word, "33")
    case "sent", "delivered", "accepted", "ok", "met", "open", "converted": wrap(word, "32")
    default: word
    }
  }

  private func wrap(_ text: String, _ code: String) -> String {
    isOn && !text.isEmpty ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
  }
}

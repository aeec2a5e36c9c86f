import Glibc

// What `leadpipe up` prints.
extension Installation {
  /// Prints a line of the block: its name, and in the next column the text. A text of several lines is aligned.
  func say(_ stage: String, _ text: String) {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let margin = "\n" + String(repeating: " ", count: 10)
    Console.print(
      stage + String(repeating: " ", count: max(0, 10 - stage.count)) + lines.joined(separator: margin) + "\n")
  }

  /// The panel's address; nil if the gateway does not serve it.
  var panelLine: String? {
    guard environment["PANEL"] != "off", access(environment["PANEL_DIR"] ?? layout.panel, R_OK) == 0 else { return nil }
    return "\(PanelLink(environment).text)\nto log in: . \(state.settingsFile); \(layout.leadpipe) login"
  }

  /// True if the gateway serves the page where chatbot and forms can be tried.
  var hasDemo: Bool {
    environment["CHATBOT"] != "off" && environment["DEMO"] == "on"
      && access((environment["CHATBOT_DIR"] ?? layout.chatbot) + "/demo/index.html", R_OK) == 0
  }

  var example: String {
    """
    curl http://\(host):\(port)/api/chatbot/leads -H 'Content-Type: application/json' -d \\
    '{"customerName":"Test User","customerPhone":"+971501234567","intent":"buy"}'
    """
  }
}

import Contract

/// Where the processes of a handler come from: a new one for each request; the same, but started ahead; or a few that take
/// many requests.
package enum ProcessMode: String, Sendable, CaseIterable { case oneshot, warm, stream }

/// LEADPIPE_PROCESS: `warm`, or `stream,health-check=oneshot`: a mode for all handlers, and others for some by their names.
package struct ProcessModes: Sendable, Equatable {
  private var all: ProcessMode?
  private var own: [String: ProcessMode] = [:]

  /// What every handler has without the setting.
  package init() {}

  /// Nil for text that is no such list, or names a handler twice.
  package init?(_ text: String) {
    for (index, item) in text.split(separator: ",", omittingEmptySubsequences: false).enumerated() {
      let parts = item.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
      guard parts.count <= 2, let mode = parts.last.flatMap(ProcessMode.init(rawValue:)) else { return nil }
      if parts.count == 1 {
        guard index == 0 else { return nil }
        all = mode
      } else {
        guard !parts[0].isEmpty, own.updateValue(mode, forKey: parts[0]) == nil else { return nil }
      }
    }
  }

  private static let setting = Setting("LEADPIPE_PROCESS") { text in
    ProcessModes(text) != nil
      ? nil : "must be oneshot, warm or stream, and perhaps others for single handlers: stream,health-check=oneshot"
  }

  /// What the operator may say about processes.
  package static let settings = [
    setting, .number("LEADPIPE_CONCURRENCY", 1...1024), .number("LEADPIPE_WARM_SPARES", 1...64),
    .number("LEADPIPE_STREAM_PROCESSES", 1...64),
    .number("LEADPIPE_STREAM_WINDOW", 1...1024), .number("LEADPIPE_STREAM_QUEUE", 1...65_536),
    .number("LEADPIPE_STREAM_REQUESTS", 1...1_000_000_000), .number("LEADPIPE_STREAM_MINUTES", 1...10_080),
  ]

  /// The mode of a handler. Where the setting does not name it, a handler streams only if it says that it can; and where the
  /// setting says nothing of all: our own do, and nobody knows what another does between two requests.
  package func mode(of handler: HostedHandler) -> ProcessMode {
    if let own = own[handler.description.name] { return own }
    let mode = all ?? (handler.isOurs ? .stream : .oneshot)
    return mode == .stream && !handler.isOurs && !handler.description.streams ? .oneshot : mode
  }

  /// The names that are none of `handlers`.
  package func strangers(among handlers: [HostedHandler]) -> [String] {
    own.keys.filter { name in !handlers.contains { $0.description.name == name } }.sorted()
  }
}

import Contract

/// Where a handler's processes come from: a new one for each request (oneshot), or a few that serve many requests
/// (stream).
package enum ProcessMode: String, Sendable, CaseIterable { case oneshot, stream }

/// LEADPIPE_PROCESS: a mode for all handlers and other modes for some by name, such as `oneshot`
/// or `stream,health-check=oneshot`.
package struct ProcessModes: Sendable, Equatable {
  private var all: ProcessMode?
  private var own: [String: ProcessMode] = [:]

  /// The modes without the setting.
  package init() {}

  /// Nil if the list is malformed or names a handler twice.
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
    if ProcessModes(text) != nil { return nil }
    let isWarm = text.split(whereSeparator: { ",=".contains($0) }).contains("warm")
    return isWarm
      ? "must not name the mode warm, which was removed: use stream, or oneshot for a process per request"
      : "must be oneshot or stream, optionally followed by modes for single handlers: stream,health-check=oneshot"
  }

  /// A setting of the removed mode warm.
  private static let removed = Setting("LEADPIPE_WARM_SPARES") { _ in
    "has no effect, because the process mode warm was removed: unset it"
  }

  /// The operator's settings for processes.
  package static let settings = [
    setting, removed, .number("LEADPIPE_CONCURRENCY", 1...1024), .number("LEADPIPE_STREAM_PROCESSES", 1...64),
    .number("LEADPIPE_STREAM_WINDOW", 1...1024), .number("LEADPIPE_STREAM_QUEUE", 1...65_536),
    .number("LEADPIPE_STREAM_REQUESTS", 1...1_000_000_000), .number("LEADPIPE_STREAM_MINUTES", 1...10_080),
  ]

  /// Returns the mode of a handler. A mode set for it by name always applies. Otherwise the mode for all handlers
  /// applies, which defaults to stream for our own handlers and to oneshot for foreign ones, whose state between
  /// requests is unknown. A foreign handler that does not declare streams falls back from stream to oneshot.
  /// A handler whose body may follow its reply always has a process for each request.
  package func mode(of handler: HostedHandler) -> ProcessMode {
    if handler.description.bodyFollows { return .oneshot }
    if let own = own[handler.description.name] { return own }
    let mode = all ?? (handler.isOurs ? .stream : .oneshot)
    return mode == .stream && !handler.isOurs && !handler.description.streams ? .oneshot : mode
  }

  /// Returns the configured names that are not in `handlers`.
  package func strangers(among handlers: [HostedHandler]) -> [String] {
    own.keys.filter { name in !handlers.contains { $0.description.name == name } }.sorted()
  }
}

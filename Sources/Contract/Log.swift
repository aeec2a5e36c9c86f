import Glibc
import Wire

/// The log: one line per event on stderr, for people (`2026-11-22T21:00:00.000Z [INFO] message key=value`) or for
/// machines (LOG_FORMAT=json). Systemd's journal records the time itself, so a text line there begins with its level.
/// The caller must not log secrets, personal data or raw input. Control characters are always escaped.
package struct Log: Sendable {
  package enum Level: Int, Sendable {
    case debug, info, warn, error

    package var name: String { ["DEBUG", "INFO", "WARN", "ERROR"][rawValue] }

    fileprivate init?(_ text: String) {
      guard let index = ["debug", "info", "warn", "error"].firstIndex(of: text) else { return nil }
      self.init(rawValue: index)
    }
  }

  private var level: Level
  private let isJSON: Bool
  private let isTimed: Bool
  /// Appended to every line: the handler and the request, for example.
  package var context: [(key: String, value: String)] = []

  /// Reads LOG_LEVEL (defaults to info) and LOG_FORMAT (defaults to text). The settings check has already rejected
  /// invalid values.
  package init(_ environment: [String: String]) {
    level = environment["LOG_LEVEL"].flatMap(Level.init) ?? .info
    isJSON = environment["LOG_FORMAT"] == "json"
    isTimed = !Self.goesToJournal(environment)
  }

  /// True if stderr goes to systemd's journal. JOURNAL_STREAM identifies the journal by device and inode
  /// (systemd.exec(5)). They are compared with stderr because the variable may be inherited after stderr was
  /// redirected. A child whose stderr is a pipe to such a process gets LEADPIPE_JOURNAL=1.
  package static func goesToJournal(_ environment: [String: String]) -> Bool {
    if environment["LEADPIPE_JOURNAL"] == "1" { return true }
    guard let stream = environment["JOURNAL_STREAM"] else { return false }
    var status = stat()
    return fstat(2, &status) == 0 && stream == "\(status.st_dev):\(status.st_ino)"
  }

  /// Returns a log that leaves out lines below `level`.
  package func raised(to level: Level) -> Log {
    var log = self
    if log.level.rawValue < level.rawValue { log.level = level }
    return log
  }

  /// Returns a log that appends one more key and value to each line.
  package func with(_ key: String, _ value: String) -> Log {
    var log = self
    log.context.append((key, value))
    return log
  }

  package func debug(_ message: String, _ facts: KeyValuePairs<String, String> = [:]) { write(.debug, message, facts) }
  package func info(_ message: String, _ facts: KeyValuePairs<String, String> = [:]) { write(.info, message, facts) }
  package func warn(_ message: String, _ facts: KeyValuePairs<String, String> = [:]) { write(.warn, message, facts) }
  package func error(_ message: String, _ facts: KeyValuePairs<String, String> = [:]) { write(.error, message, facts) }

  /// Logs a line that a foreign handler has written, under the handler's name and without interpreting it. A line of
  /// more than 4 KiB is cut to its first 1,024 characters.
  package func quote(_ line: some Sequence<UInt8>, of handler: String) {
    let text = String(decoding: Array(line), as: UTF8.self)
    if isJSON {
      put(document(.info, Self.visible(text, 4096)).setting("handler", .string(Self.cut(handler))).bytes)
    } else {
      put(Array("\(time)\(Self.visible(handler)): \(Self.visible(text, 4096))".utf8))
    }
  }

  func write(_ level: Level, _ text: @autoclosure () -> String, _ facts: KeyValuePairs<String, String>) {
    guard level.rawValue >= self.level.rawValue else { return }
    let message = text()
    let pairs = facts.map { ($0.key, $0.value) } + context
    if isJSON {
      var document = document(level, Self.cut(message))
      for (key, value) in pairs { document = document.setting(key, .string(Self.cut(value))) }
      put(document.bytes)
    } else {
      let tail = pairs.map { " \($0.0)=\(Self.visible($0.1))" }.joined()
      put(Array("\(time)[\(level.name)] \(Self.visible(message))\(tail)".utf8))
    }
  }

  private func document(_ level: Level, _ message: String) -> JSON {
    ["time": .string(Instant.now.iso8601), "level": .string(level.name), "message": .string(message)]
  }

  /// The timestamp at the start of a text line.
  private var time: String { isTimed ? Instant.now.iso8601 + " " : "" }

  /// Uses one write per line, so lines of several processes do not mix. A failed write is ignored: logging must not
  /// stop work.
  private func put(_ line: [UInt8]) {
    _ = (line + [0x0A]).withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
  }

  /// Cuts a value that is longer than `limit` bytes to `limit / 4` characters, which take at most `limit` bytes.
  private static func cut(_ text: String, _ limit: Int = 1024) -> String {
    text.utf8.count <= limit ? text : String(text.unicodeScalars.prefix(limit / 4)) + "…"
  }

  /// Returns the text with control characters, line separators and bidirectional overrides escaped.
  package static func visible(_ text: String, _ limit: Int = 1024) -> String {
    let text = cut(text, limit)
    if text.utf8.allSatisfy({ 0x20..<0x7F ~= $0 }) { return text }
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x2069: out += "\\u{\(String(scalar.value, radix: 16))}"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
}

import ArgumentParser
import Contract
import Forms
import Glibc
import Terminal
import Wire

/// Prints rows as a table of at most 100 columns, or as one JSON document per line.
struct Listing {
  let isJSON: Bool

  /// A column of a table: its title and its text.
  typealias Column = (title: String, text: @Sendable (JSON) -> String)

  /// Columns with words for a state, which are coloured.
  private static let stateTitles: Set<String> = ["STATE", "CLASS", "SLA", "STATUS"]

  /// Prints the rows. A table without rows is the word `none`.
  func show(_ rows: [JSON], _ columns: [Column]) {
    if isJSON { return rows.forEach { Console.print($0.text + "\n") } }
    guard !rows.isEmpty else { return Console.print("none\n") }
    Self.table(columns.map(\.title), rows.map { row in columns.map { $0.text(row) } })
  }

  /// Prints a table on stdout.
  static func table(_ titles: [String], _ rows: [[String]]) {
    let paint = Paint(processEnvironment())
    let lines = Table(titles, rows.map { $0.map(plain) }).lines { text, title, isTitle in
      if isTitle { return paint.bold(text) }
      return stateTitles.contains(title) ? paint.state(text) : text
    }
    Console.print(lines.joined(separator: "\n") + "\n")
  }

  /// Prints members with their names, one below the other. Long values continue under themselves.
  static func fields(_ fields: [(name: String, value: String)]) {
    let width = max(fields.map { columns($0.name) + 2 }.max() ?? 0, 22)
    let paint = Paint(processEnvironment())
    for (name, value) in fields {
      for (number, line) in wrapped(plain(value), to: Table.width - width).enumerated() {
        let label = number == 0 ? name : ""
        let padding = String(repeating: " ", count: width - columns(label))
        Console.print((number == 0 ? paint.bold(label) : label) + padding + line + "\n")
      }
    }
  }

  /// Returns the text on one line without tabs and control characters, because stored text may contain any; `-` if it
  /// is empty.
  static func plain(_ text: String) -> String {
    let clean = cleanLine(text)
    return clean.isEmpty ? "-" : clean
  }

  /// The recipient as a table shows it. An email address is reduced to its first letter and its domain.
  @Sendable static func recipient(_ row: JSON) -> String {
    let text = row["recipient"]?.string ?? ""
    guard let at = text.lastIndex(of: "@"), row["channel"]?.string == "email" else { return text }
    return text.prefix(1) + "…" + text[at...]
  }

  /// Returns a function that reads a member of a row as text; an empty string if the row has no such member.
  static func member(_ name: String) -> @Sendable (JSON) -> String {
    { row in row[name].flatMap { $0.string ?? $0.integer.map(String.init) } ?? "" }
  }

  /// Returns a function that reads the beginning of an id. Commands accept them in place of the id.
  static func id(_ name: String = "id") -> @Sendable (JSON) -> String {
    { row in IDPrefix.shown(row[name]?.string ?? "") }
  }

  /// Returns a function that reads a time as `01-31 20:15Z`, in UTC. A time that is more than half a year away is its
  /// day.
  static func time(_ name: String) -> @Sendable (JSON) -> String {
    { row in
      let text = row[name]?.string ?? ""
      guard let time = Instant(iso8601: text) else { return text }
      let iso = time.iso8601
      if abs(time.seconds(since: .now)) > 182 * 86_400 { return String(iso.prefix(10)) }
      return "\(iso.dropFirst(5).prefix(5)) \(iso.dropFirst(11).prefix(5))Z"
    }
  }

  /// The columns of every list of deliveries.
  static let deliveries: [Column] = [
    ("ID", id()), ("CREATED", time("createdAt")), ("CHANNEL", member("channel")), ("RECIPIENT", recipient),
    ("STATE", member("state")), ("CLASS", member("class")), ("TRIES", member("tries")), ("NEXT", time("nextAttemptAt")),
    ("REASON", member("reason")),
  ]
}

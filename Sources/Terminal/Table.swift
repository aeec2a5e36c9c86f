/// A table of plain text that fits a terminal: at most `width` columns, whatever the rows contain. No text is lost in
/// its last column, which is wrapped; other columns are cut if they do not fit.
package struct Table {
  package static let width = 100
  /// The minimum width for the last column. If less is left, its text is on lines of its own below the row.
  private static let leastRoom = 16
  private static let gap = 2
  private static let indent = 4

  private let cells: [[String]]
  private let titles: [String]

  package init(_ titles: [String], _ rows: [[String]]) {
    self.titles = titles
    cells = [titles] + rows
  }

  /// The lines of the table, the titles first. `paint` colours the text of a cell; `title` is the title of its column.
  package func lines(paint: (_ text: String, _ title: String, _ isTitle: Bool) -> String = { text, _, _ in text })
    -> [String]
  {
    guard let last = titles.indices.last else { return [] }
    let widths = fittedWidths()
    let start = widths.dropLast().reduce(0) { $0 + $1 + Self.gap }
    let room = Self.width - start
    let needed = cells.map { Terminal.columns($0[last]) }.max() ?? 0
    let isBelow = needed > room && room < Self.leastRoom
    var lines: [String] = []
    for (index, row) in cells.enumerated() {
      var line = ""
      for column in 0..<last {
        let text = Self.cut(row[column], to: widths[column])
        let padding = String(repeating: " ", count: widths[column] - Terminal.columns(text) + Self.gap)
        line += paint(text, titles[column], index == 0) + padding
      }
      if Terminal.columns(row[last]) <= max(room, 0) {
        lines.append(Self.trimmed(line + paint(row[last], titles[last], index == 0)))
        continue
      }
      // A line of its own is not worth an empty value.
      if isBelow, row[last] == "-" {
        lines.append(Self.trimmed(line))
        continue
      }
      let margin = String(repeating: " ", count: isBelow ? Self.indent : start)
      for (number, part) in wrapped(row[last], to: isBelow ? Self.width - Self.indent : room).enumerated() {
        if isBelow, number == 0 { lines.append(Self.trimmed(line)) }
        lines.append((isBelow || number > 0 ? margin : line) + paint(part, titles[last], index == 0))
      }
    }
    return lines
  }

  /// The widths of all columns. If all but the last do not fit together, the widest of them become narrower.
  private func fittedWidths() -> [Int] {
    var widths = titles.indices.map { column in cells.map { Terminal.columns($0[column]) }.max() ?? 0 }
    let fixed = titles.count - 1
    while widths.dropLast().reduce(0, +) + fixed * Self.gap > Self.width,
      let widest = (0..<fixed).max(by: { widths[$0] < widths[$1] }), widths[widest] > 1
    {
      widths[widest] -= 1
    }
    return widths
  }

  private static func cut(_ text: String, to width: Int) -> String {
    Terminal.columns(text) <= width ? text : string(Array(text.unicodeScalars).prefix(columns: width - 1)) + "…"
  }

  private static func trimmed(_ line: String) -> String {
    String(String.UnicodeScalarView(line.unicodeScalars.reversed().drop { $0 == " " }.reversed()))
  }
}

/// Breaks a text into lines of at most `width` columns, between words if possible.
package func wrapped(_ text: String, to width: Int) -> [String] {
  var lines: [String] = []
  var line: [Unicode.Scalar] = []
  for word in text.unicodeScalars.split(separator: " ") {
    var word = Array(word)[...]
    if !line.isEmpty, line.columns + 1 + word.columns > width {
      lines.append(string(line[...]))
      line = []
    }
    while word.columns > width {
      let part = word.prefix(columns: max(width, 2))
      lines.append(string(part))
      word = word.dropFirst(part.count)
    }
    line += (line.isEmpty ? [] : [" "]) + word
  }
  return line.isEmpty && !lines.isEmpty ? lines : lines + [string(line[...])]
}

extension RandomAccessCollection<Unicode.Scalar> where Index == Int {
  fileprivate var columns: Int { reduce(0) { $0 + $1.columns } }

  /// The longest beginning that takes at most this number of columns.
  fileprivate func prefix(columns limit: Int) -> SubSequence {
    var used = 0
    let end = firstIndex { scalar in
      used += scalar.columns
      return used > limit
    }
    return self[..<(end ?? endIndex)]
  }
}

private func string(_ scalars: ArraySlice<Unicode.Scalar>) -> String { String(String.UnicodeScalarView(scalars)) }

import Exports
import Store
import Wire

/// The texts above the table of a PDF.
struct ExportWords {
  let lines: [String]

  /// - Parameter filters: the members of the request that choose rows and their order.
  init(filters: JSON, zone: String, at now: Instant) {
    let members = filters.members ?? []
    let chosen = members.map { "\($0.key): \(Self.text($0.value))" }.joined(separator: "; ")
    lines = [
      "Filters: \(chosen.isEmpty ? "none" : chosen)",
      "Made on \(Self.local(now, zone)). Times are in \(zone).",
    ]
  }

  func complete(_ totals: [String]) -> PDFWriter.Words { .init(title: "Leads", lines: lines, totals: totals) }

  private static func text(_ value: JSON) -> String {
    if let list = value.array { return list.map(text).joined(separator: ", ") }
    return value.string ?? value.text
  }

  private static func local(_ now: Instant, _ zone: String) -> String {
    let offset = Zone(zone)?.offset(at: now) ?? 0
    return String(now.adding(seconds: offset).iso8601.prefix(16).map { $0 == "T" ? " " : $0 })
  }
}

/// The totals at the end of a PDF: the number of rows, by quality, and the sum of what was earned.
struct ExportTotals {
  private let quality: Int?
  private let value: Int?
  private var rows = 0
  private var qualities: [String: Int] = [:]
  /// In hundredths, so that no sum is off by a rounding.
  private var sum = 0.0

  init(_ columns: [ExportColumn]) {
    quality = columns.firstIndex { $0.name == "leadQuality" }
    value = columns.firstIndex { $0.name == "conversionValue" }
  }

  mutating func add(_ batch: ExportRows.Batch, _ row: Int) {
    rows += 1
    if let quality {
      var word = ""
      batch.withCell(row, quality) { if let text = $0 { word = String(decoding: text, as: UTF8.self) } }
      qualities[word, default: 0] += 1
    }
    if let value {
      var amount = 0.0
      batch.withCell(row, value) { if let text = $0 { amount = Double(String(decoding: text, as: UTF8.self)) ?? 0 } }
      sum += (amount * 100).rounded()
    }
  }

  var lines: [String] {
    let known = ["hot", "warm", "cold"].map { "\($0) \(qualities[$0] ?? 0)" }
    let unknown = qualities[""].map { ["without quality \($0)"] } ?? []
    return [
      "Leads: \(rows) (\((known + unknown).joined(separator: ", ")))", "Sum of conversion values: \(Self.amount(sum))",
    ]
  }

  /// An amount with separators: 1,234,567.50.
  static func amount(_ hundredths: Double) -> String {
    guard abs(hundredths) < 9e15 else { return "\(hundredths / 100)" }
    let whole = Int(abs(hundredths))
    var digits = String(whole / 100)
    var groups: [String] = []
    while digits.count > 3 {
      groups.insert(String(digits.suffix(3)), at: 0)
      digits = String(digits.dropLast(3))
    }
    let rest = whole % 100
    let sign = hundredths < 0 ? "-" : ""
    return sign + ([digits] + groups).joined(separator: ",") + (rest < 10 ? ".0\(rest)" : ".\(rest)")
  }
}

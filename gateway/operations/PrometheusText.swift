/// Writes Prometheus' text format, version 0.0.4, one family of samples after the other.
struct PrometheusText: Sendable {
  enum MetricType: String { case counter, gauge, histogram }

  typealias Labels = KeyValuePairs<String, String>

  static let contentType = "text/plain; version=0.0.4; charset=utf-8"
  private(set) var text = ""
  private var family = ""

  /// Begins a family. `help` must be one line.
  mutating func begin(_ name: String, _ type: MetricType, _ help: String) {
    family = name
    text += "# HELP \(name) \(help)\n# TYPE \(name) \(type.rawValue)\n"
  }

  /// Adds a sample to the family.
  mutating func add(_ value: Int, _ labels: Labels = [:]) { add(String(value), labels.map { ($0.key, $0.value) }) }

  mutating func add(_ value: Double, _ labels: Labels = [:]) { add("\(value)", labels.map { ($0.key, $0.value) }) }

  /// Adds the samples of a histogram to the family.
  mutating func add(_ histogram: Histogram, _ labels: Labels) {
    let labels = labels.map { ($0.key, $0.value) }
    for (bound, count) in zip(Histogram.bounds, histogram.cumulative) {
      add(String(count), labels + [("le", "\(bound)")], suffix: "_bucket")
    }
    add(String(histogram.count), labels + [("le", "+Inf")], suffix: "_bucket")
    add("\(histogram.sum)", labels, suffix: "_sum")
    add(String(histogram.count), labels, suffix: "_count")
  }

  private mutating func add(_ value: String, _ labels: [(String, String)], suffix: String = "") {
    let list = labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",")
    text += family + suffix + (list.isEmpty ? "" : "{\(list)}") + " \(value)\n"
  }

  private static func escaped(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": out += "\\\\"
      case "\"": out += "\\\""
      case "\n": out += "\\n"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
}

/// Finds variables that are probably misspelt settings: a setting with a typing error has no effect, and nothing else
/// would report it.
enum SimilarSettings {
  /// Names of variables that resemble a setting but belong to other programs.
  private static let others: Set<String> = ["LEADPIPE_BIN", "LEADPIPE_JOURNAL", "LEADPIPE_SUPERVISED"]

  /// Returns a warning for each variable that is not in `known` but resembles one of them.
  static func warnings(_ names: some Sequence<String>, known: Set<String>) -> [(name: String, text: String)] {
    names.filter { !known.contains($0) && !others.contains($0) && !isOfPlatform($0) }.sorted().compactMap { name in
      if let near = nearest(to: name, among: known) {
        return (name, "\(name) is not a setting and has no effect; did you mean \(near)?")
      }
      guard name.hasPrefix("LEADPIPE_") else { return nil }
      return (name, "\(name) is not a setting and has no effect; docs/reference/settings.md lists all settings")
    }
  }

  /// Names that other programs give to settings.
  private static let otherNames = [
    "SMTP_HOST": "EMAIL_HOST", "SMTP_PORT": "EMAIL_PORT", "SMTP_USER": "EMAIL_USER", "SMTP_PASS": "EMAIL_PASS",
    "SMTP_PASSWORD": "EMAIL_PASS", "CORS_ORIGINS": "ALLOWED_ORIGINS", "DATABASE_URI": "DATABASE_URL",
    "POSTGRES_URL": "DATABASE_URL",
  ]

  /// Returns the setting that a name resembles. Nil if there is none.
  static func nearest(to name: String, among known: Set<String>) -> String? {
    if let other = otherNames[name.uppercased()] { return other }
    let near = known.map { (name: $0, distance: distance(name, $0)) }
      .filter { $0.distance <= ($0.name.utf8.count < 8 ? 1 : 2) }
      .min { ($0.distance, $0.name) < ($1.distance, $1.name) }?.name
    // EMAIL_PASSWORD begins with the name of a setting.
    let longer = known.filter { $0.utf8.count >= 10 && name.hasPrefix($0) && name.utf8.count <= $0.utf8.count + 6 }
    // SLACK_URL and TELEGRAM_TOKEN leave out a word.
    let fuller = known.filter { leavesOutWords(name, of: $0) }
    return near ?? longer.max() ?? fuller.min { ($0.utf8.count, $0) < ($1.utf8.count, $1) }
  }

  /// Container platforms set LEADPIPE_PORT, LEADPIPE_PORT_… and LEADPIPE_SERVICE_… for a service of this name.
  private static func isOfPlatform(_ name: String) -> Bool {
    name == "LEADPIPE_PORT" || name.hasPrefix("LEADPIPE_PORT_") || name.hasPrefix("LEADPIPE_SERVICE_")
  }

  /// True if `name` has at least two words, among them the first, of a longer setting, in their order.
  private static func leavesOutWords(_ name: String, of setting: String) -> Bool {
    let (given, all) = (name.uppercased().split(separator: "_"), setting.split(separator: "_"))
    guard given.count >= 2, given.count < all.count, given.first == all.first else { return false }
    var rest = given[...]
    for word in all where word == rest.first { rest.removeFirst() }
    return rest.isEmpty
  }

  /// Returns the number of characters to insert, delete, replace or swap with the next one (optimal string alignment).
  static func distance(_ one: String, _ other: String) -> Int {
    let (a, b) = (Array(one.uppercased().utf8), Array(other.uppercased().utf8))
    guard abs(a.count - b.count) <= 2, a.count >= 4 else { return .max }
    var (before, last) = ([Int](), Array(0...b.count))
    for i in a.indices {
      var row = [i + 1]
      for j in b.indices {
        var least = min(row[j] + 1, last[j + 1] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { least = min(least, before[j - 1] + 1) }
        row.append(least)
      }
      (before, last) = (last, row)
    }
    return last[b.count]
  }
}

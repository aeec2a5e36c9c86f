/// What was found for an item.
enum Finding: Sendable {
  /// The promise holds; what shows it.
  case passed(String)
  /// The promise does not hold: what shows it, and how to fix it.
  case failed(String, fix: String)
  /// The item does not apply to this deployment, or could not be examined: why.
  case skipped(String)
  /// As `skipped`, but what needs the item is examined all the same: this command's login or connection does not show it.
  case unseen(String)

  var mark: String {
    switch self {
    case .passed: "✓"
    case .failed: "✗"
    case .skipped, .unseen: "–"
    }
  }

  var hasFailed: Bool { if case .failed = self { true } else { false } }
  var hasPassed: Bool { if case .passed = self { true } else { false } }
  /// True if the items that need this one are examined.
  var letsOthersPass: Bool { if case .unseen = self { true } else { hasPassed } }

  /// The result as one word, for `--json`.
  var word: String {
    switch self {
    case .passed: "passed"
    case .failed: "failed"
    case .skipped, .unseen: "skipped"
    }
  }

  var evidence: String {
    switch self {
    case .passed(let text), .failed(let text, _), .skipped(let text), .unseen(let text): text
    }
  }

  var fix: String? { if case .failed(_, let fix) = self { fix } else { nil } }
}

import Wire

/// One item of the checklist: what it promises, and how that is found out.
struct CheckItem: Sendable {
  /// `group.name`. docs/checklist.json refers to it.
  let id: String
  /// What is true if the item is fulfilled.
  let promise: String
  /// What is done to find out, for `--dry-run`.
  let action: String
  /// The items that must not have failed. If one has, this item is not examined, so that only the cause is reported.
  let needs: [String]
  let examine: @Sendable (CheckRun) -> Finding

  init(
    _ id: String, _ promise: String, doing action: String, needs: [String] = [],
    examine: @escaping @Sendable (CheckRun) -> Finding
  ) {
    self.id = id
    self.promise = promise
    self.action = action
    self.needs = needs
    self.examine = examine
  }

  var group: String { String(id.prefix { $0 != "." }) }
}

/// What was found for an item.
enum Finding: Sendable {
  /// The promise holds; what shows it.
  case passed(String)
  /// The promise does not hold: what shows it, and how to mend it.
  case failed(String, mend: String)
  /// The item does not apply to this deployment, or could not be examined: why.
  case skipped(String)

  var mark: String {
    switch self {
    case .passed: "✓"
    case .failed: "✗"
    case .skipped: "–"
    }
  }

  var hasFailed: Bool { if case .failed = self { true } else { false } }
  var hasPassed: Bool { if case .passed = self { true } else { false } }

  /// The result as one word, for `--json`.
  var word: String {
    switch self {
    case .passed: "passed"
    case .failed: "failed"
    case .skipped: "skipped"
    }
  }

  var evidence: String {
    switch self {
    case .passed(let text), .failed(let text, _), .skipped(let text): text
    }
  }

  var mend: String? { if case .failed(_, let mend) = self { mend } else { nil } }
}

/// A part of the checklist. Each is in a file of its own.
struct CheckGroup: Sendable {
  let title: String
  let items: [CheckItem]

  /// All groups, in the order in which they are examined. The test lead exists from `afterDeployment` until
  /// `testLeadRemoval`.
  static let all: [CheckGroup] = [
    .beforeDeployment, .interfaces, .afterDeployment, .adminPanel, .testLeadRemoval, .security, .monitoring,
  ]
}

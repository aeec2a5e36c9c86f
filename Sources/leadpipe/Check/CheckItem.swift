/// One item of the checklist: what it promises, and how that is found out.
struct CheckItem: Sendable {
  /// `group.name`. docs/checklist.json refers to it.
  let id: String
  /// What is true if the item is fulfilled.
  let promise: String
  /// What is done to find out, for `--dry-run`.
  let action: String
  /// The items that must be fulfilled. If one is not, this item is not examined, so that only the cause is reported. An
  /// item that this command cannot see is no reason to leave this one out.
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

  /// Examines the item, unless the run is interrupted or an item that it needs is not fulfilled. The test lead is
  /// removed in any case.
  func found(in run: CheckRun) -> Finding {
    let finding: Finding =
      if Interruption.isRequested, id != TestLead.removal {
        .skipped("interrupted")
      } else if let cause = needs.first(where: { run.findings[$0]?.letsOthersPass == false }) {
        .skipped(run.findings[cause]?.hasFailed == true ? "not examined, because \(cause) is ✗" : "needs \(cause)")
      } else {
        examine(run)
      }
    run.findings[id] = finding
    return finding
  }
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

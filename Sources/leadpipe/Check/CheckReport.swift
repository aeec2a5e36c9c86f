import Contract
import Terminal
import Wire

/// Prints the items of a check as they are examined.
struct CheckReport {
  let isJSON: Bool
  private let paint = Paint(processEnvironment())
  /// Columns before the text of an item.
  private static let indent = "    "

  init(isJSON: Bool) { self.isJSON = isJSON }

  /// Prints what each item would do.
  func plan(_ groups: [CheckGroup]) {
    for group in groups {
      begin(group)
      for item in group.items {
        if isJSON {
          let line: JSON = [
            "id": .string(item.id), "promise": .string(item.promise), "action": .string(item.action),
            "needs": .array(item.needs.map(JSON.string)),
          ]
          Console.print(line.text + "\n")
        } else {
          Console.print("  \(item.id): \(item.action)\n")
        }
      }
    }
  }

  func begin(_ group: CheckGroup) {
    if !isJSON { Console.print(paint.bold(group.title) + "\n") }
  }

  func show(_ item: CheckItem, _ finding: Finding) {
    if isJSON {
      let line: JSON = [
        "id": .string(item.id), "promise": .string(item.promise), "result": .string(finding.word),
        "evidence": .string(Listing.plain(finding.evidence)), "fix": JSON(finding.fix),
      ]
      return Console.print(line.withoutNulls.text + "\n")
    }
    Console.print("  \(finding.hasFailed ? paint.bold(finding.mark) : finding.mark) \(item.id)  \(item.promise)\n")
    lines(Listing.plain(finding.evidence))
    // Advice may have commands on lines of their own, to be copied.
    if let fix = finding.fix {
      for line in fix.split(separator: "\n") { Console.print("\(Self.indent)→ \(line)\n") }
    }
  }

  func end(_ findings: [String: Finding]) {
    if isJSON { return }
    let failed = findings.values.count(where: \.hasFailed)
    let passed = findings.values.count(where: \.hasPassed)
    Console.print("\(passed) ✓, \(failed) ✗, \(findings.count - passed - failed) –\n")
  }

  private func lines(_ text: String) {
    for line in wrapped(text, to: Table.width - Self.indent.count) { Console.print(Self.indent + line + "\n") }
  }
}

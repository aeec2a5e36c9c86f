import Admin
import ArgumentParser
import Store
import Wire

/// `leadpipe audit`: lists who managed keys, agents, channels and personal data.
struct AuditCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit", abstract: "List who managed keys, agents, channels and personal data, newest first.")

  @Option(help: "Only entries of this name (column BY).") var actor: String?
  @Option(help: "Only entries of this action.") var action: AuditAction?
  @Option(help: "Only entries since: ISO 8601, or an age such as 90s, 30m, 2h or 7d.") var since: Moment?
  @Option(help: "The maximum number of entries, 1 to 1000.") var limit = 50
  @OptionGroup var options: OperatorOptions

  func validate() throws {
    guard 1...1000 ~= limit else { throw ValidationError("--limit must be 1 to 1000.") }
  }

  func run() throws {
    let (entries, hasMore) = try OperatorDatabase().rows(
      of: .listAudit,
      ["actor": JSON(actor), "action": JSON(action?.rawValue), "since": JSON(since?.instant.iso8601)], limit: limit)
    Listing(isJSON: options.json).show(
      entries,
      [
        ("TIME", Listing.time("createdAt")), ("BY", Listing.member("actor")), ("ACTION", Listing.member("action")),
        ("SUBJECT", Listing.member("subject")), ("DETAILS", Self.details),
      ])
    if hasMore, !options.json { Console.printError("more entries match; use --limit or --since to see them\n") }
  }

  @Sendable private static func details(_ entry: JSON) -> String {
    (entry["details"]?.members ?? []).map { "\($0.key) \($0.value.string ?? $0.value.text)" }.joined(separator: ", ")
  }
}

extension AuditAction: ExpressibleByArgument {}

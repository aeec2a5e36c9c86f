import ArgumentParser
import Leads
import Store
import Wire

struct LeadList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List leads, newest first.",
    discussion: """
      DUE is the deadline for the first response. Times are UTC. The digits in ID are the beginning of the id; all \
      commands accept them. --status, --quality, --sla and --agent may be repeated.
      """)

  @Option(help: "Only leads with this status.") var status: [LeadStatus] = []
  @Option(help: "Only leads of this quality.") var quality: [LeadQuality] = []
  @Option(help: "Only leads in this SLA state.") var sla: [SLAState] = []
  @Option(help: "Only leads of the agent with this id, or its first digits, at least four.") var agent: [RowID] = []
  @Option(help: "Only leads created since: ISO 8601, or an age such as 90s, 30m, 2h or 7d.") var since: Moment?
  @Option(help: "The maximum number of leads, 1 to 1000.") var limit = 25
  @OptionGroup var options: OperatorOptions

  func validate() throws {
    guard 1...1000 ~= limit else { throw ValidationError("--limit must be 1 to 1000.") }
  }

  func run() throws {
    let database = try OperatorDatabase()
    let reply = try database.call(
      .listConversations,
      [
        "status": status.document, "leadQuality": quality.document, "slaState": sla.document,
        "assignedAgentIds": try database.ids(agent, of: .agent), "dateFrom": JSON(since?.instant.iso8601),
        "limit": JSON(limit),
        "sort": "recent", "warnBefore": try database.office().warnBefore,
      ])
    Listing(isJSON: options.json).show(
      reply["data"]?.array ?? [],
      [
        ("ID", Listing.id()), ("CREATED", Listing.time("createdAt")), ("STATUS", Listing.member("status")),
        ("QUALITY", Listing.member("leadQuality")), ("SCORE", Listing.member("leadScore")),
        ("SLA", Listing.member("slaState")), ("DUE", Listing.time("slaResponseDeadline")),
        ("AGENT", Listing.member("assignedAgentName")), ("NAME", Listing.member("customerName")),
      ])
    if reply["nextCursor"]?.string != nil, !options.json {
      Console.printError("more leads match; use --limit or --since to see them\n")
    }
  }
}

enum LeadStatus: String, CaseIterable, ExpressibleByArgument {
  case new, completed, lost, converted
  case inProgress = "in-progress"
}

enum LeadQuality: String, CaseIterable, ExpressibleByArgument { case hot, warm, cold }

enum SLAState: String, CaseIterable, ExpressibleByArgument { case ok, warning, breached, met }

extension Array where Element: RawRepresentable<String> {
  /// The values as a JSON array; null if there are none.
  fileprivate var document: JSON { isEmpty ? .null : .array(map { .string($0.rawValue) }) }
}

import ArgumentParser
import Leads
import Store
import Wire

struct LeadList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List leads, newest first.",
    discussion: "DUE is when a first answer is due. --status, --quality and --sla may be given again.")

  @Option(help: "Those in this status.") var status: [LeadStatus] = []
  @Option(help: "Those of this quality.") var quality: [LeadQuality] = []
  @Option(help: "Those that stand so to the promised first answer.") var sla: [SLAState] = []
  @Option(help: "Those of this agent, by id; may be given again.") var agent: [UUIDText] = []
  @Option(help: "Those that came since then: ISO 8601, or 90s, 30m, 2h, 7d.") var since: Moment?
  @Option(help: "How many at most, 1 to 1000.") var limit = 25
  @OptionGroup var options: OperatorOptions

  func validate() throws {
    guard 1...1000 ~= limit else { throw ValidationError("--limit must be 1 to 1000.") }
  }

  func run() throws {
    let desk = try OperatorDesk()
    let reply = try desk.ask(
      .listConversations,
      [
        "status": status.document, "leadQuality": quality.document, "slaState": sla.document,
        "assignedAgentIds": agent.document, "dateFrom": JSON(since?.instant.iso8601), "limit": JSON(limit),
        "sort": "recent", "warnBefore": try desk.office().warnBefore,
      ])
    Listing(isJSON: options.json).show(
      reply["data"]?.array ?? [],
      [
        ("ID", Listing.member("id")), ("CAME", Listing.member("createdAt")), ("STATUS", Listing.member("status")),
        ("QUALITY", Listing.member("leadQuality")), ("SCORE", Listing.member("leadScore")),
        ("SLA", Listing.member("slaState")), ("DUE", Listing.member("slaResponseDeadline")),
        ("AGENT", Listing.member("assignedAgentName")), ("NAME", Listing.member("customerName")),
      ])
    if reply["nextCursor"]?.string != nil, !options.json { Console.tell("there are more: --limit, --since\n") }
  }
}

enum LeadStatus: String, CaseIterable, ExpressibleByArgument {
  case new, completed, lost, converted
  case inProgress = "in-progress"
}

enum LeadQuality: String, CaseIterable, ExpressibleByArgument { case hot, warm, cold }

enum SLAState: String, CaseIterable, ExpressibleByArgument { case ok, warning, breached, met }

extension Array where Element: RawRepresentable<String> {
  /// The words; nothing where there is none.
  fileprivate var document: JSON { isEmpty ? .null : .array(map { .string($0.rawValue) }) }
}

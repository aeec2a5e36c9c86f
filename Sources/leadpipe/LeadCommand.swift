import Admin
import ArgumentParser
import Store
import Wire

/// `leadpipe lead`: shows leads on the terminal. Personal data goes to stdout only, and never into the log.
struct LeadCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lead", abstract: "List leads, and show a lead's fields, messages and timeline.",
    subcommands: [LeadList.self, LeadShow.self])
}

struct LeadShow: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Show a lead with its messages and timeline.")

  @Argument(help: "The id of the conversation, or its first digits, at least four.") var id: RowID

  @OptionGroup var options: OperatorOptions

  /// The order of the fields: what a person looks for first. The members that are not listed follow.
  private static let order = [
    "customerName", "customerPhone", "customerEmail", "id", "status", "leadQuality", "leadScore", "intent", "budget",
    "propertyType", "preferredArea", "notes", "tags", "source", "assignedAgentName", "slaState", "slaResponseDeadline",
    "firstResponseAt", "followUpDate", "outcome", "conversionValue", "createdAt", "updatedAt",
  ]

  func run() throws {
    let database = try OperatorDatabase()
    let argument: JSON = ["id": .string(try database.id(id, of: .conversation))]
    let shown = try database.call(.showConversation, argument.setting("warnBefore", try database.office().warnBefore))
    let lead = shown["conversation"] ?? [:]
    let timeline = try database.call(.listTimeline, argument.setting("limit", 200))["data"]?.array ?? []
    let entries = Array(timeline.map(TimelineEntry.presented).reversed())
    if options.json { return Console.print(lead.setting("timeline", .array(entries)).text + "\n") }

    let members = (lead.members ?? []).filter { $0.key != "messages" && !$0.value.isNull }
    let rest = members.filter { !Self.order.contains($0.key) }
    let head = Self.order.compactMap { name in members.first { $0.key == name } }
    let phoneExtension = lead["metadata"]?["customerPhoneExtension"]?.string.map { " ext. \($0)" } ?? ""
    Listing.fields(
      (head + rest).map { ($0.key, Self.text($0.value) + ($0.key == "customerPhone" ? phoneExtension : "")) })
    Console.print("\n")
    if let messages = lead["messages"]?.array, !messages.isEmpty {
      Listing(isJSON: false).show(
        messages,
        [
          ("TIME", Listing.time("timestamp")), ("SENDER", Listing.member("sender")),
          ("MESSAGE", Listing.member("messageText")),
        ])
      Console.print("\n")
    }
    Listing(isJSON: false).show(
      entries,
      [
        ("TIME", Listing.time("at")),
        ("BY", { Listing.member($0["actorName"]?.string == nil ? "actorType" : "actorName")($0) }),
        ("EVENT", Listing.member("title")), ("DETAILS", Listing.member("description")),
      ])
  }

  private static func text(_ value: JSON) -> String {
    switch value {
    case .string(let text), .number(let text): text
    case .array(let items): items.compactMap(\.string).joined(separator: ", ")
    default: value.text
    }
  }
}

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

  @Argument(help: "The id of the conversation.") var id: UUIDText
  @OptionGroup var options: OperatorOptions

  func run() throws {
    let database = try OperatorDatabase()
    let argument: JSON = ["id": .string(id.text)]
    let shown = try database.call(.showConversation, argument.setting("warnBefore", try database.office().warnBefore))
    let lead = shown["conversation"] ?? [:]
    let timeline = try database.call(.listTimeline, argument.setting("limit", 200))["data"]?.array ?? []
    let entries = Array(timeline.map(TimelineEntry.presented).reversed())
    if options.json { return Console.print(lead.setting("timeline", .array(entries)).text + "\n") }

    for member in lead.members ?? [] where member.key != "messages" && !member.value.isNull {
      Console.print(member.key + String(repeating: " ", count: max(1, 22 - member.key.utf8.count)))
      Console.print(Listing.plain(Self.text(member.value)) + "\n")
    }
    Console.print("\n")
    Listing(isJSON: false).show(
      lead["messages"]?.array ?? [],
      [
        ("TIME", Listing.member("timestamp")), ("SENDER", Listing.member("sender")),
        ("MESSAGE", Listing.member("messageText")),
      ])
    Console.print("\n")
    Listing(isJSON: false).show(
      entries,
      [
        ("TIME", Listing.member("at")),
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

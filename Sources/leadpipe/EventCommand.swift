import ArgumentParser
import Store
import Wire

/// `leadpipe event`: what is done with events as a whole.
struct EventCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "event", abstract: "Send the notifications of events once more.", subcommands: [EventReplay.self])
}

struct EventReplay: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay", abstract: "Send once more what is finished: sent or given up.",
    discussion: """
      Each event's newest delivery to each recipient is repeated as a new one, marked as a possible repeat where the first \
      may have arrived. What is not finished is left alone, and so is every channel that is not asked for.
      """)

  @Option(help: "This event; may be given again.") var id: [UUIDText] = []
  @Option(help: "Deliveries of this channel only.") var channel: ChannelName?
  @Option(name: .customLong("class"), help: "Deliveries whose last try came to this only.") var outcome: OutcomeClass?
  @Option(help: "Events from then on: ISO 8601, or 90s, 30m, 2h, 7d ago.") var from: Moment?
  @Option(help: "Events before then.") var to: Moment?
  @Flag(help: "Say what would be sent, and change nothing.") var dryRun = false
  @OptionGroup var actor: ActorOptions
  @OptionGroup var options: OperatorOptions

  func validate() throws {
    guard !id.isEmpty || channel != nil || outcome != nil || from != nil || to != nil else {
      throw ValidationError("Say which: --id, --channel, --class, --from or --to.")
    }
    if let from, let to, from.instant >= to.instant { throw ValidationError("--from must be before --to.") }
    guard id.count <= 1000 else { throw ValidationError("No more than 1000 ids at a time.") }
  }

  func run() throws {
    let (deliveries, _) = try OperatorDesk().askOn(
      .replayEvents,
      [
        "ids": id.document, "channel": JSON(channel?.name), "class": JSON(outcome?.name),
        "from": JSON(from?.instant.iso8601), "to": JSON(to?.instant.iso8601), "dryRun": .bool(dryRun), "by": actor.name,
      ])
    Listing(isJSON: options.json).show(
      deliveries,
      [
        ("EVENT", Listing.member("eventId")), ("CHANNEL", Listing.member("channel")), ("RECIPIENT", Listing.recipient),
        ("WAS", Listing.member("wasStatus")), ("CLASS", Listing.member("wasClass")),
        ("REPEATS", Listing.member("replayOf")), ("AS", Listing.member("id")),
      ])
    if !options.json { Console.say("\(deliveries.count) \(dryRun ? "would be" : "will be") sent once more\n") }
    if !id.isEmpty, deliveries.isEmpty { throw OperatorDesk.refuse("none of these events has a finished delivery") }
  }
}

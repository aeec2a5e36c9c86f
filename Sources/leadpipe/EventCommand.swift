import ArgumentParser
import Store
import Wire

/// `leadpipe event`: commands about whole events.
struct EventCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "event", abstract: "Send the notifications of events again.", subcommands: [EventReplay.self])
}

struct EventReplay: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay", abstract: "Send finished deliveries again, whether they were sent or given up.",
    discussion: """
      For each event and recipient, the newest delivery is repeated as a new delivery. It is marked as a possible \
      repeat if the first one may have arrived. Unfinished deliveries and other channels are not affected. An event that \
      was planned while no channel was configured for it is planned again, unless a channel or class is given.
      """)

  @Option(help: "Only the event with this id, or its first digits, at least four; may be repeated.")
  var id: [RowID] = []
  @Option(help: "Only deliveries of this channel.") var channel: ChannelName?
  @Option(name: .customLong("class"), help: "Only deliveries whose last try had this outcome.")
  var outcome: OutcomeClass?
  @Option(help: "Only events since: ISO 8601, or an age such as 90s, 30m, 2h or 7d.") var from: Moment?
  @Option(help: "Only events before, in the same format.") var to: Moment?
  @Flag(help: "Print what would be sent, without changing anything.") var dryRun = false
  @OptionGroup var actor: ActorOptions
  @OptionGroup var options: OperatorOptions

  func validate() throws {
    guard !id.isEmpty || channel != nil || outcome != nil || from != nil || to != nil else {
      throw ValidationError("Give at least one of --id, --channel, --class, --from and --to.")
    }
    if let from, let to, from.instant >= to.instant { throw ValidationError("--from must be before --to.") }
    guard id.count <= 1000 else { throw ValidationError("At most 1000 ids can be given.") }
  }

  func run() throws {
    let database = try OperatorDatabase()
    let (deliveries, _, events) = try database.callInBatches(
      .replayEvents,
      [
        "ids": try database.ids(id, of: .event), "channel": JSON(channel?.name), "class": JSON(outcome?.name),
        "from": JSON(from?.instant.iso8601), "to": JSON(to?.instant.iso8601), "dryRun": .bool(dryRun), "by": actor.name,
      ])
    if options.json || !deliveries.isEmpty { show(deliveries) }
    if !options.json { Console.print("\(deliveries.count) \(dryRun ? "would be" : "will be") sent again\n") }
    if !options.json, !events.isEmpty {
      let count = events.count == 1 ? "1 event" : "\(events.count) events"
      Console.print("\(count) without notifications \(dryRun ? "would be" : "will be") planned again\n")
    }
    if !id.isEmpty, deliveries.isEmpty, events.isEmpty {
      throw OperatorDatabase.refuse("none of these events has a finished delivery")
    }
  }

  private func show(_ deliveries: [JSON]) {
    Listing(isJSON: options.json).show(
      deliveries,
      [
        ("EVENT", Listing.id("eventId")), ("CHANNEL", Listing.member("channel")), ("RECIPIENT", Listing.recipient),
        ("WAS", Listing.member("wasStatus")), ("CLASS", Listing.member("wasClass")),
        ("REPEAT OF", Listing.id("replayOf")), ("NEW ID", Listing.id()),
      ])
  }
}

import Admin
import ArgumentParser
import Glibc
import Store
import Wire

/// `leadpipe delivery`: lists, explains and retries deliveries.
struct DeliveryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "delivery", abstract: "List and explain deliveries, and retry failed ones.",
    subcommands: [DeliveryList.self, DeliveryShow.self, DeliveryExplain.self, DeliveryRetry.self])
}

struct DeliveryList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List deliveries, newest first.",
    discussion: """
      STATE is the state of a delivery (see --status). CLASS is the outcome of its last try (see --class); it is empty \
      before the first try. TRIES is the number of tries that count. NEXT is when the next try is due. Times are UTC. \
      The digits in ID are the beginning of the id; all commands accept them.
      """)

  @Option(help: "Only deliveries in this state (column STATE).") var status: DeliveryState?
  @Option(help: "Only deliveries of this channel.") var channel: ChannelName?
  @Option(name: .customLong("class"), help: "Only deliveries whose last try had this outcome (column CLASS).")
  var outcome: OutcomeClass?
  @Option(help: "Only deliveries created since: ISO 8601, or an age such as 90s, 30m, 2h or 7d.") var since: Moment?
  @Option(help: "The maximum number of deliveries, 1 to 1000.") var limit = 50
  @OptionGroup var options: OperatorOptions

  func validate() throws {
    guard 1...1000 ~= limit else { throw ValidationError("--limit must be 1 to 1000.") }
  }

  func run() throws {
    let (deliveries, hasMore) = try OperatorDatabase().rows(
      of: .listDeliveries,
      [
        "status": JSON(status?.rawValue), "channel": JSON(channel?.name), "class": JSON(outcome?.name),
        "since": JSON(since?.instant.iso8601),
      ], limit: limit)
    Listing(isJSON: options.json).show(deliveries, Listing.deliveries)
    if hasMore, !options.json {
      Console.printError("more deliveries match; use --limit or --since to see them\n")
    }
  }
}

struct DeliveryShow: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Show a delivery and all its tries.")

  @Argument(help: "The id of the delivery, or its first digits, at least four.") var id: RowID
  @OptionGroup var options: OperatorOptions

  func run() throws {
    let database = try OperatorDatabase()
    let facts = try database.call(.showDelivery, ["id": .string(try database.id(id, of: .delivery))])
    guard let delivery = facts["delivery"] else { throw OperatorDatabase.refuse("no delivery has the id \(id.text)") }
    if options.json { return Console.print(facts.text + "\n") }
    let members = (delivery.members ?? []).filter { !$0.value.isNull }
    let type = facts["event"]?["type"]?.string ?? ""
    Listing.fields(
      members.map {
        ($0.key, $0.key == "recipient" ? Listing.recipient(delivery) : Listing.member($0.key)(delivery))
      } + [("event", "\(type) at \(facts["event"]?["at"]?.string ?? "")")])
    Console.print("\n")
    Listing(isJSON: false).show(
      facts["attempts"]?.array ?? [],
      [
        ("TRY", Listing.member("attempt")), ("STARTED", Listing.member("startedAt")),
        ("MS", Self.milliseconds), ("CLASS", Listing.member("class")),
        ("STATUS", Listing.member("statusCode")), ("CODE", Listing.member("providerCode")),
        ("WORKER", Listing.member("worker")), ("RESPONSE", Listing.member("excerpt")),
      ])
  }
}

extension DeliveryShow {
  /// How long a try took, in milliseconds.
  @Sendable private static func milliseconds(_ attempt: JSON) -> String {
    guard let start = attempt["startedAt"]?.instant,
      let end = attempt["finishedAt"]?.instant
    else { return "" }
    return String(end.milliseconds - start.milliseconds)
  }
}

struct DeliveryExplain: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Explain in one sentence why a delivery has not been sent and when it will be.",
    discussion: "Times are shown in TIME_ZONE.")

  @Argument(help: "The id of a delivery or an event, or its first digits, at least four.") var id: RowID
  @OptionGroup var options: OperatorOptions

  func run() throws {
    let database = try OperatorDatabase()
    let clock = try database.office().clock
    let facts = try database.call(.showDelivery, ["id": .string(try database.id(id, of: .delivery, .event))])
    guard facts["kind"]?.string != "none" else {
      throw OperatorDatabase.refuse("no delivery or event has the id \(id.text)")
    }
    let sentence = Listing.plain(DeliveryExplanation(facts, clock: clock).sentence)
    Console.print((options.json ? JSON.object([.init("sentence", .string(sentence))]).text : sentence) + "\n")
  }
}

struct DeliveryRetry: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "retry", abstract: "Retry failed deliveries at once, whether waiting, parked or given up.",
    discussion: """
      Their 72-hour retry period starts again. If a channel is paused, its deliveries wait until the pause ends; \
      `leadpipe channel resume` ends it.
      """)

  @Argument(help: "The ids of the deliveries, or their first digits, at least four each.") var ids: [RowID] = []
  @Option(help: "Retry all failed deliveries of this channel, instead of ids.") var channel: ChannelName?
  @Option(name: .customLong("class"), help: "With --channel: only deliveries whose last try had this outcome.")
  var outcome: OutcomeClass?
  @Flag(help: "Print the deliveries that would be retried, without changing anything.") var dryRun = false
  @OptionGroup var actor: ActorOptions
  @OptionGroup var options: OperatorOptions

  func validate() throws {
    guard ids.isEmpty != (channel == nil) else { throw ValidationError("Give either ids or --channel, but not both.") }
    guard outcome == nil || channel != nil else { throw ValidationError("--class requires --channel.") }
    guard ids.count <= 1000 else { throw ValidationError("At most 1000 ids can be given.") }
  }

  func run() throws {
    let database = try OperatorDatabase()
    let (deliveries, refused, _) = try database.callInBatches(
      .retryDeliveries,
      [
        "ids": try database.ids(ids, of: .delivery), "channel": JSON(channel?.name), "class": JSON(outcome?.name),
        "dryRun": .bool(dryRun),
        "by": actor.name,
      ])
    if options.json || !deliveries.isEmpty { Listing(isJSON: options.json).show(deliveries, Listing.deliveries) }
    if !options.json {
      Console.print("\(deliveries.count) \(dryRun ? "would be" : "will be") retried\(dryRun ? "" : " at once")\n")
    }
    for item in refused {
      let id = item["id"]?.string ?? ""
      let status = item["status"]?.string ?? "none"
      Console.printError(
        status == "none"
          ? "\(id): no such delivery\n"
          : "\(id): cannot be retried, because it is \(status == "failed" ? "already due" : status)\n")
    }
    if !refused.isEmpty { throw ExitCode(65) }
  }
}

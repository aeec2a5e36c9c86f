import Admin
import ArgumentParser
import Glibc
import Store
import Wire

/// `leadpipe delivery`: what was, is and will be sent.
struct DeliveryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "delivery", abstract: "See deliveries, why they wait, and try them again.",
    subcommands: [DeliveryList.self, DeliveryShow.self, DeliveryExplain.self, DeliveryRetry.self])
}

struct DeliveryList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List deliveries, newest first.",
    discussion: """
      STATE is where a delivery stands, CLASS what its last try came to (nothing before the first); --status and --class \
      below name them. TRIES are those that count, NEXT is when the next one is due.
      """)

  @Option(help: "Those in this state (column STATE).") var status: DeliveryState?
  @Option(help: "Those of this channel.") var channel: ChannelName?
  @Option(name: .customLong("class"), help: "Those whose last try came to this (column CLASS).")
  var outcome: OutcomeClass?
  @Option(help: "Those made since then: ISO 8601, or 90s, 30m, 2h, 7d.") var since: Moment?
  @Option(help: "How many at most, 1 to 1000.") var limit = 50
  @OptionGroup var options: OperatorOptions

  func validate() throws {
    guard 1...1000 ~= limit else { throw ValidationError("--limit must be 1 to 1000.") }
  }

  func run() throws {
    let desk = try OperatorDesk()
    var deliveries: [JSON] = []
    var cursor = JSON.null
    repeat {
      let page = try desk.ask(
        .listDeliveries,
        [
          "status": JSON(status?.rawValue), "channel": JSON(channel?.name), "class": JSON(outcome?.name),
          "since": JSON(since?.instant.iso8601), "limit": JSON(limit - deliveries.count), "cursor": cursor,
        ])
      deliveries += page["data"]?.array ?? []
      cursor = page["nextCursor"] ?? .null
    } while deliveries.count < limit && !cursor.isNull
    Listing(isJSON: options.json).show(deliveries, Listing.deliveries)
    if !cursor.isNull, !options.json { Console.tell("there are more: --limit, --since\n") }
  }
}

struct DeliveryShow: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Show a delivery with all its tries.")

  @Argument(help: "The delivery.") var id: UUIDText
  @OptionGroup var options: OperatorOptions

  func run() throws {
    let facts = try OperatorDesk().ask(.showDelivery, ["id": .string(id.text)])
    guard let delivery = facts["delivery"] else { throw OperatorDesk.refuse("there is no delivery \(id.text)") }
    if options.json { return Console.say(facts.text + "\n") }
    for member in delivery.members ?? [] where !member.value.isNull {
      let text = member.key == "recipient" ? Listing.recipient(delivery) : Listing.member(member.key)(delivery)
      Console.say(member.key + String(repeating: " ", count: max(1, 16 - member.key.utf8.count)))
      Console.say(Listing.plain(text) + "\n")
    }
    let type = facts["event"]?["type"]?.string ?? ""
    Console.say("event           \(type) at \(facts["event"]?["at"]?.string ?? "")\n\n")
    Listing(isJSON: false).show(
      facts["attempts"]?.array ?? [],
      [
        ("TRY", Listing.member("attempt")), ("STARTED", Listing.member("startedAt")),
        ("FINISHED", Listing.member("finishedAt")), ("CLASS", Listing.member("class")),
        ("STATUS", Listing.member("statusCode")), ("CODE", Listing.member("providerCode")),
        ("WORKER", Listing.member("worker")), ("ANSWER", Listing.member("excerpt")),
      ])
  }
}

struct DeliveryExplain: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain", abstract: "Say in one sentence why a delivery has not been sent, and when it will be.",
    discussion: "Times are those of TIME_ZONE.")

  @Argument(help: "The delivery, or an event.") var id: UUIDText
  @OptionGroup var options: OperatorOptions

  func run() throws {
    let desk = try OperatorDesk()
    let clock = try desk.office().clock
    let facts = try desk.ask(.showDelivery, ["id": .string(id.text)])
    guard facts["kind"]?.string != "none" else {
      throw OperatorDesk.refuse("there is no delivery and no event \(id.text)")
    }
    let sentence = Listing.plain(DeliveryStanding(facts, clock: clock).sentence)
    Console.say((options.json ? JSON.object([.init("sentence", .string(sentence))]).text : sentence) + "\n")
  }
}

struct DeliveryRetry: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "retry", abstract: "Try failed deliveries again at once, given up or waiting.",
    discussion: "Their 72 hours begin anew. A channel's pause is waited for: `leadpipe channel resume` ends it.")

  @Argument(help: "The deliveries.") var ids: [UUIDText] = []
  @Option(help: "Instead: all failed ones of this channel.") var channel: ChannelName?
  @Option(name: .customLong("class"), help: "With --channel: those whose last try came to this.")
  var outcome: OutcomeClass?
  @Flag(help: "Say which, and change nothing.") var dryRun = false
  @OptionGroup var actor: ActorOptions
  @OptionGroup var options: OperatorOptions

  func validate() throws {
    guard ids.isEmpty != (channel == nil) else { throw ValidationError("Give either ids or --channel.") }
    guard outcome == nil || channel != nil else { throw ValidationError("--class needs --channel.") }
    guard ids.count <= 1000 else { throw ValidationError("No more than 1000 ids at a time.") }
  }

  func run() throws {
    let (deliveries, refused) = try OperatorDesk().askOn(
      .retryDeliveries,
      [
        "ids": ids.document, "channel": JSON(channel?.name), "class": JSON(outcome?.name), "dryRun": .bool(dryRun),
        "by": actor.name,
      ])
    Listing(isJSON: options.json).show(deliveries, Listing.deliveries)
    if !options.json {
      Console.say("\(deliveries.count) \(dryRun ? "would be" : "will be") tried again\(dryRun ? "" : " at once")\n")
    }
    for item in refused {
      let id = item["id"]?.string ?? ""
      let status = item["status"]?.string ?? "none"
      Console.tell(
        status == "none"
          ? "\(id): there is no such delivery\n"
          : "\(id): it is \(status == "failed" ? "due already" : status), there is nothing to try again\n")
    }
    if !refused.isEmpty { throw ExitCode(65) }
  }
}

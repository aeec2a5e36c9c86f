import Admin
import ArgumentParser
import Deliveries
import Glibc
import Store
import Wire

struct ChannelTest: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "test", abstract: "Send a test message to each recipient of a channel, by the same path as leads.",
    discussion: """
      The messages are queued, and a worker sends them. If the channel is paused, they wait until the pause ends. With \
      --wait, the exit status is 0 if all messages arrived. It is 75 if a first try failed, the channel is paused, or \
      there is no result after a minute.
      """)

  @Argument(help: "The channel.") var channel: ChannelName
  @Flag(help: "Wait for the result of each message and print it.") var wait = false
  @OptionGroup var actor: ActorOptions
  @OptionGroup var options: OperatorOptions

  func run() throws {
    let database = try OperatorDatabase()
    let clock = try database.office().clock
    let configured = Recipient.list(ServiceEnvironment.channels(KnownSettings.given())) ?? []
    let queued = try database.call(
      .testChannel,
      ["name": .string(channel.name), "configured": .array(configured.map(\.document)), "by": actor.name])
    database.wakeWorkers()
    let ids = (queued["deliveries"]?.array ?? []).compactMap { $0["id"]?.string }
    guard wait else {
      if options.json { return Console.print(queued.text + "\n") }
      for id in ids { Console.print("\(id) is queued; run `leadpipe delivery explain \(id)` to see its state\n") }
      return
    }
    let outcomes = try ids.map { try outcome(of: $0, database, until: Instant.steady.adding(seconds: 60)) }
    for facts in outcomes {
      let sentence = Listing.plain(DeliveryExplanation(facts, clock: clock).sentence)
      let id = facts["delivery"]?["id"] ?? .null
      let state = facts["delivery"]?["state"] ?? .null
      Console.print(
        options.json
          ? (["id": id, "state": state, "sentence": .string(sentence)] as JSON).text + "\n" : sentence + "\n")
    }
    if !outcomes.allSatisfy(Self.hasArrived) { throw ExitCode(75) }
  }

  /// Returns the facts of a delivery when its first try has ended, its channel is paused, or `end` has passed.
  private func outcome(of id: String, _ database: OperatorDatabase, until end: Instant) throws -> JSON {
    while true {
      let facts = try database.call(.showDelivery, ["id": .string(id)])
      let isPaused = facts["channel"]?["isPaused"]?.bool == true
      if facts["delivery"]?["class"]?.string != nil || isPaused || .steady >= end { return facts }
      usleep(200_000)
    }
  }

  private static func hasArrived(_ facts: JSON) -> Bool {
    ["sent", "delivered"].contains(facts["delivery"]?["state"]?.string ?? "")
  }
}

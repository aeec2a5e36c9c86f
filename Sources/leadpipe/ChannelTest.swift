import Admin
import ArgumentParser
import Deliveries
import Glibc
import Store
import Wire

struct ChannelTest: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "test", abstract: "Send a test message to each recipient of a channel, on the way that leads take.",
    discussion: """
      The message is queued, and a worker sends it; a pause of the channel is waited for. With --wait the exit status is 0 when \
      all have arrived, and 75 when the first try of one has failed, the channel is paused, or nothing is heard for a minute.
      """)

  @Argument(help: "The channel.") var channel: ChannelName
  @Flag(help: "Wait until it is known whether it arrived, and say so.") var wait = false
  @OptionGroup var actor: ActorOptions
  @OptionGroup var options: OperatorOptions

  func run() throws {
    let desk = try OperatorDesk()
    let clock = try desk.office().clock
    let configured = Recipient.list(ServiceEnvironment.channels(KnownSettings.given())) ?? []
    let queued = try desk.ask(
      .testChannel,
      ["name": .string(channel.name), "configured": .array(configured.map(\.document)), "by": actor.name])
    desk.wakeWorkers()
    let ids = (queued["deliveries"]?.array ?? []).compactMap { $0["id"]?.string }
    guard wait else {
      if options.json { return Console.say(queued.text + "\n") }
      for id in ids { Console.say("\(id) is queued: `leadpipe delivery explain \(id)` says how it stands\n") }
      return
    }
    let standings = try ids.map { try outcome(of: $0, desk, until: Instant.now.adding(seconds: 60)) }
    for facts in standings {
      let sentence = Listing.plain(DeliveryStanding(facts, clock: clock).sentence)
      let id = facts["delivery"]?["id"] ?? .null
      let state = facts["delivery"]?["state"] ?? .null
      Console.say(
        options.json
          ? (["id": id, "state": state, "sentence": .string(sentence)] as JSON).text + "\n" : sentence + "\n")
    }
    if !standings.allSatisfy(Self.hasArrived) { throw ExitCode(75) }
  }

  /// The facts of a delivery once its first try has ended, or nothing is to be expected soon.
  private func outcome(of id: String, _ desk: OperatorDesk, until end: Instant) throws -> JSON {
    while true {
      let facts = try desk.ask(.showDelivery, ["id": .string(id)])
      let isPaused = facts["channel"]?["isPaused"]?.bool == true
      if facts["delivery"]?["class"]?.string != nil || isPaused || .now >= end { return facts }
      usleep(200_000)
    }
  }

  private static func hasArrived(_ facts: JSON) -> Bool {
    ["sent", "delivered"].contains(facts["delivery"]?["state"]?.string ?? "")
  }
}

import ArgumentParser
import Deliveries
import Store
import Wire

/// `leadpipe channel`: commands about a whole channel.
struct ChannelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "channel", abstract: "List channels, end a channel's pause, and send a test message.",
    subcommands: [ChannelList.self, ChannelResume.self, ChannelTest.self])
}

struct ChannelList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the channels with their state and their unsent deliveries.")

  @OptionGroup var options: OperatorOptions

  func run() throws {
    let configured = Recipient.list(ServiceEnvironment.channels(KnownSettings.given())) ?? []
    let reply = try OperatorDatabase().call(.listChannels, ["configured": .array(configured.map(\.document))])
    Listing(isJSON: options.json).show(
      reply["data"]?.array ?? [],
      [
        ("CHANNEL", Listing.member("name")), ("STATE", Self.state), ("UNTIL", Listing.time("pausedUntil")),
        ("WAITING", Listing.member("waiting")), ("SENDING", Listing.member("sending")),
        ("GIVEN UP", Listing.member("givenUp")), ("REASON", Listing.member("reason")),
      ])
  }

  /// `open`; `paused` with its cause; or `probing` while one delivery tests the channel.
  @Sendable private static func state(_ row: JSON) -> String {
    let state = row["state"]?.string ?? ""
    return state == "paused" ? "paused (\(row["class"]?.string ?? "by hand"))" : state
  }
}

struct ChannelResume: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume",
    abstract: "End a channel's pause, whatever its cause. Deliveries that waited for it are due at once.")

  @Argument(help: "The channel.") var channel: ChannelName
  @OptionGroup var options: OperatorOptions

  func run() throws {
    let reply = try OperatorDatabase().call(
      .resumeChannel, ["name": .string(channel.name), "configured": [["channel": .string(channel.name)]]])
    if options.json { return Console.print(reply.text + "\n") }
    guard reply["wasPaused"]?.bool == true else { return Console.print("\(channel.name) was not paused\n") }
    let count = reply["broughtForward"]?.integer ?? 0
    Console.print(
      "\(channel.name) is resumed; \(count) waiting \(count == 1 ? "delivery is" : "deliveries are") due now\n")
  }
}

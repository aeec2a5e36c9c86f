import ArgumentParser
import Deliveries
import Store
import Wire

/// `leadpipe channel`: what concerns a channel as a whole.
struct ChannelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "channel", abstract: "See channels and their pauses, end a pause, and send a test message.",
    subcommands: [ChannelList.self, ChannelResume.self, ChannelTest.self])
}

struct ChannelList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the channels that are known of: pause, what waits, what was given up.")

  @OptionGroup var options: OperatorOptions

  func run() throws {
    let configured = Recipient.list(ServiceEnvironment.channels(KnownSettings.given())) ?? []
    let reply = try OperatorDesk().ask(.listChannels, ["configured": .array(configured.map(\.document))])
    Listing(isJSON: options.json).show(
      reply["data"]?.array ?? [],
      [
        ("CHANNEL", Listing.member("name")), ("STATE", Self.state), ("UNTIL", Listing.member("pausedUntil")),
        ("WAITING", Listing.member("waiting")), ("SENDING", Listing.member("sending")),
        ("GIVEN UP", Listing.member("givenUp")), ("REASON", Listing.member("reason")),
      ])
  }

  /// open; paused, with what for; probing where one delivery tries the channel out.
  @Sendable private static func state(_ row: JSON) -> String {
    let state = row["state"]?.string ?? ""
    return state == "paused" ? "paused (\(row["class"]?.string ?? "by hand"))" : state
  }
}

struct ChannelResume: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume", abstract: "End a channel's pause, whatever it is for: what waited for its end goes at once.")

  @Argument(help: "The channel.") var channel: ChannelName
  @OptionGroup var options: OperatorOptions

  func run() throws {
    let reply = try OperatorDesk().ask(
      .resumeChannel, ["name": .string(channel.name), "configured": [["channel": .string(channel.name)]]])
    if options.json { return Console.say(reply.text + "\n") }
    guard reply["wasPaused"]?.bool == true else { return Console.say("\(channel.name) was not paused\n") }
    let count = reply["broughtForward"]?.integer ?? 0
    Console.say(
      "\(channel.name) goes on; \(count) that waited for the end of the pause \(count == 1 ? "is" : "are") due\n")
  }
}

import ArgumentParser

struct ChannelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "channels",
    abstract: "Print the configured channels and recipients as JSON, in the format of LEADPIPE_CHANNELS.")

  func run() throws {
    let environment = KnownSettings.given()
    _ = try KnownSettings.check(environment)
    print(ServiceEnvironment.channels(environment))
  }
}

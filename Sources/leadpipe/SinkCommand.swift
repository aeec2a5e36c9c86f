import ArgumentParser
import Handler
import Host
import Sink

struct SinkCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sink", abstract: "Stand in for Slack, Telegram and a mail server on loopback, and keep what they get."
  )

  @Option(help: "The port for Slack, Telegram and the page; 0 for any.") var httpPort = 4001
  @Option(help: "The port for mail; 0 for any.") var smtpPort = 4002
  @Option(help: "The file that receives a JSON line for each message.") var file = "sink.ndjson"

  func run() async throws {
    let environment = KnownSettings.given()
    followSupervisor(environment)
    let log = Log(environment)
    try await Sink(httpPort: httpPort, smtpPort: smtpPort, file: file).run { http, smtp in
      log.info("Sink listening", ["page": "http://127.0.0.1:\(http)", "smtp": "127.0.0.1:\(smtp)", "file": file])
    }
  }
}

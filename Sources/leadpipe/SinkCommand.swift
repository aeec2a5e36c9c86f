import ArgumentParser
import Contract
import Forms
import Glibc
import Host
import Sink

struct SinkCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sink", abstract: "Stand in for Slack, Telegram and a mail server on loopback, and keep what they get."
  )

  @Option(help: "The port for Slack, Telegram and the page; 0 for any.") var httpPort = 4001
  @Option(help: "The port for mail; 0 for any.") var smtpPort = 4002
  @Option(help: "The file that receives a JSON line for each message.") var file = "sink.ndjson"

  @Option(help: "A file that says how to fail, as PUT /behaviour takes it.") var fail: String?

  func run() async throws {
    let environment = KnownSettings.given()
    beginService(environment)
    let log = Log(environment)
    let plan = try fail.map(Self.plan) ?? FaultPlan()
    try await Sink(httpPort: httpPort, smtpPort: smtpPort, file: file, plan: plan).run { http, smtp in
      log.info("Sink listening", ["page": "http://127.0.0.1:\(http)", "smtp": "127.0.0.1:\(smtp)", "file": file])
    }
  }

  private static func plan(_ path: String) throws -> FaultPlan {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw CommandError("\(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    guard let bytes = readUntilEnd(descriptor, limit: 262_144, milliseconds: 10_000) else {
      throw CommandError("\(path): more than 256 KiB, or it cannot be read")
    }
    do throws(Problem) { return try FaultPlan(reading: bytes) } catch {
      let reasons = error.fields.isEmpty ? [error.detail] : error.fields.map(\.message)
      throw CommandError(([path + ": the fault plan is invalid"] + reasons).joined(separator: "\n"))
    }
  }
}

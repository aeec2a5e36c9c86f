import ArgumentParser
import Contract
import Forms
import Glibc
import Host
import Sink

struct SinkCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sink",
    abstract: "Stand in for Slack, Telegram, Resend and a mail server on loopback, and keep what they receive.")

  @Option(help: "The port for the HTTP providers and the web page; 0 chooses a free port.") var httpPort = 4001
  @Option(help: "The port for SMTP; 0 chooses a free port.") var smtpPort = 4002
  @Option(help: "The file to which a JSON line is appended for each message.") var file = "sink.ndjson"

  @Option(help: "A JSON file of faults to simulate, in the format of PUT /behaviour.") var fail: String?

  func run() async throws {
    let environment = KnownSettings.given()
    beginService(environment)
    let log = Log(environment)
    let plan = try fail.map(Self.plan) ?? FaultPlan()
    for (port, option) in [(httpPort, "--http-port"), (smtpPort, "--smtp-port")]
    where port != 0 && FreePort.isAnswering(port) {
      throw CommandError("port \(port) is in use; set \(option) to another")
    }
    let file = file
    do throws(Problem) {
      try await Sink(httpPort: httpPort, smtpPort: smtpPort, file: file, plan: plan).run { http, smtp in
        log.info("Sink listening", ["page": "http://127.0.0.1:\(http)", "smtp": "127.0.0.1:\(smtp)", "file": file])
      }
    } catch { throw CommandError(error.detail) }
  }

  private static func plan(_ path: String) throws -> FaultPlan {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw CommandError("\(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    guard let bytes = readUntilEnd(descriptor, limit: 262_144, milliseconds: 10_000) else {
      throw CommandError("\(path) cannot be read or is larger than 256 KiB")
    }
    do throws(Problem) { return try FaultPlan(reading: bytes) } catch {
      let lines = error.fields.isEmpty ? [error.detail] : error.fields.map(\.message)
      throw CommandError(lines.map { "\(path): \($0)" }.joined(separator: "\n"))
    }
  }
}

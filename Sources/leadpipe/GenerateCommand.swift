import ArgumentParser
import Glibc
import Samples
import Wire

struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate", abstract: "Write test leads to stdout, one JSON document per line.",
    discussion: """
      The same seed and options give the same bytes on every machine. The email addresses and phone numbers belong to \
      no real person. Each lead's metadata.sample describes it and states whether it must be refused.
        leadpipe generate --count 1000 --seed 7 | lead-capture --stream | jq
      """)

  @Option(help: "The number of leads, 0 to 10,000,000.") var count = 10
  @Option(help: "Use another seed for different leads.") var seed: UInt64 = 1
  @Option(help: "The form whose request bodies are written.") var form: SampleForm = .lead
  @Option(help: "The percentage of hostile leads, 0 to 100; half of them must be refused.") var hostile = 5
  @Option(help: "Conversations are dated within the 30 days before this time (ISO 8601).") var at = Samples.defaultEnd
  @Flag(help: "Give each lead an idempotencyKey.") var keys = false

  func validate() throws {
    guard 0...10_000_000 ~= count else { throw ValidationError("--count must be 0 to 10000000.") }
    guard 0...100 ~= hostile else { throw ValidationError("--hostile must be 0 to 100.") }
  }

  func run() throws {
    signal(SIGPIPE, SIG_IGN)
    let samples = Samples(form: form, seed: seed, hostilePercent: hostile, hasKeys: keys, end: at)
    var meter = ProgressMeter(total: count)
    var buffer: [UInt8] = []
    var written = 0
    defer { meter?.end(done: written) }
    for number in stride(from: 1, through: count, by: 1) {
      buffer += samples[number].body.bytes
      buffer.append(0x0A)
      guard buffer.count >= 65_536 || number == count else { continue }
      guard try Self.write(buffer) else { return }
      written = number
      buffer.removeAll(keepingCapacity: true)
      meter?.show(done: written)
    }
  }

  /// Writes all of `bytes` to stdout. False if the reader has closed the pipe, as `head` does; this is not an error.
  private static func write(_ bytes: [UInt8]) throws -> Bool {
    if Console.write(bytes, to: 1) { return true }
    let reason = errno
    if reason == EPIPE { return false }
    throw CommandError("cannot write to stdout: \(String(cString: strerror(reason)))")
  }
}

extension SampleForm: ExpressibleByArgument {}

extension Instant: ExpressibleByArgument {
  /// Parses an ISO 8601 time from a command-line argument.
  public init?(argument: String) { self.init(iso8601: argument) }

  /// The time as the help shows a default.
  public var defaultValueDescription: String { iso8601 }
}

/// Shows the progress of a command on its terminal.
struct ProgressMeter {
  private var progress: Progress

  /// Nil unless stderr is a terminal and stdout is not: on one terminal, the lines of both would mix.
  init?(total: Int) {
    guard isatty(2) == 1, isatty(1) == 0 else { return nil }
    progress = Progress(total: total, startMilliseconds: Self.now)
  }

  mutating func show(done: Int) {
    if let line = progress.line(done: done, atMilliseconds: Self.now, columns: Self.columns) {
      Console.printError(line)
    }
  }

  mutating func end(done: Int) {
    Console.printError(progress.end(done: done, atMilliseconds: Self.now, columns: Self.columns))
  }

  private static var now: Int { Instant.steady.milliseconds }

  /// The terminal's width in columns; 80 if it is unknown.
  private static var columns: Int {
    var size = winsize()
    return ioctl(2, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
  }
}

import ArgumentParser
import Glibc
import Samples
import Wire

struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate", abstract: "Write test leads to stdout, one JSON document a line.",
    discussion: """
      The same seed and options give the same bytes everywhere. Mail addresses and telephone numbers lead to nobody. \
      A lead says in metadata.sample what it is and whether it is meant to be refused.
        leadpipe generate --count 1000 --seed 7 | lead-capture --stream | jq
      """)

  @Option(help: "How many, 0 to 10,000,000.") var count = 10
  @Option(help: "Another seed, other leads.") var seed: UInt64 = 1
  @Option(help: "Whose body.") var form: SampleForm = .lead
  @Option(help: "How many in a hundred are hostile; half of these must be refused.") var hostile = 5
  @Option(help: "The talks are of the thirty days before this moment (ISO 8601).") var at = Samples.defaultEnd
  @Flag(help: "Give each an idempotencyKey.") var keys = false

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

  /// All of `bytes` to stdout; false when its reader has seen enough, as `head` has, which is no failure.
  private static func write(_ bytes: [UInt8]) throws -> Bool {
    if Console.write(bytes, to: 1) { return true }
    let reason = errno
    if reason == EPIPE { return false }
    throw CommandError("stdout cannot be written: \(String(cString: strerror(reason)))")
  }
}

extension SampleForm: ExpressibleByArgument {}

extension Instant: ExpressibleByArgument {
  /// A moment as an option gives it.
  public init?(argument: String) { self.init(iso8601: argument) }

  /// A moment as the help shows it.
  public var defaultValueDescription: String { iso8601 }
}

/// The progress of a command on its terminal.
struct ProgressMeter {
  private var progress: Progress

  /// Nil unless stderr is a terminal and stdout is none: lines of both would mix.
  init?(total: Int) {
    guard isatty(2) == 1, isatty(1) == 0 else { return nil }
    progress = Progress(total: total, startMilliseconds: Self.now)
  }

  mutating func show(done: Int) {
    if let line = progress.line(done: done, atMilliseconds: Self.now, columns: Self.columns) { Console.tell(line) }
  }

  mutating func end(done: Int) {
    Console.tell(progress.end(done: done, atMilliseconds: Self.now, columns: Self.columns))
  }

  private static var now: Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
  }

  /// The terminal's width; 80 where it does not say.
  private static var columns: Int {
    var size = winsize()
    return ioctl(2, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
  }
}

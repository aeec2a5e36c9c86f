import ArgumentParser
import Deliveries
import Forms
import Glibc
import Wire

/// What `--json` means, and who asks, in every command of the operator.
struct OperatorOptions: ParsableArguments {
  @Flag(help: "A JSON document a line, whole: recipients, too, where there are some.") var json = false
}

/// Who changes something: the timeline says it.
struct ActorOptions: ParsableArguments {
  @Option(help: "Who does it, for the timeline or the event (default: the user who runs this).") var by: String?

  func validate() throws {
    if let by, !(1...100 ~= cleanText(by).unicodeScalars.count) {
      throw ValidationError("--by must be a name of 1 to 100 characters.")
    }
  }

  var name: JSON { .string(by.map(cleanText) ?? Account.current?.name ?? "operator") }
}

/// A moment: ISO 8601, or so long ago: 90s, 30m, 2h, 7d.
struct Moment: ExpressibleByArgument {
  let instant: Instant

  init?(argument: String) {
    let units = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    if let unit = argument.last.flatMap({ units[String($0)] }), let count = Int(strict: argument.dropLast()),
      0...100_000 ~= count
    {
      instant = Instant.now.adding(seconds: -count * unit)
    } else if let instant = Instant(iso8601: argument) {
      self.instant = instant
    } else {
      return nil
    }
  }
}

/// A channel that this version can send to.
struct ChannelName: ExpressibleByArgument {
  let name: String

  init?(argument: String) {
    guard ChannelKind.names.contains(argument) else { return nil }
    name = argument
  }

  static var allValueStrings: [String] { ChannelKind.names }
}

/// A state of a delivery as a list shows it and `--status` takes it; `failed` is three of them together.
enum DeliveryState: String, ExpressibleByArgument, CaseIterable {
  case pending, claimed, sending, sent, delivered, failed, waiting, parked
  case givenUp = "given-up"

  static var allValueDescriptions: [String: String] {
    Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0.meaning) })
  }

  private var meaning: String {
    switch self {
    case .pending: "waits for its first try; --status pending lists those that are claimed too"
    case .claimed: "a worker has it and will begin"
    case .sending: "a try has begun"
    case .sent: "the provider has taken it"
    case .delivered: "the provider has reported its arrival; no channel of this version does"
    case .failed: "waiting, parked and given-up together"
    case .waiting: "a try has failed; the next is at NEXT"
    case .parked: "it may have arrived, nobody knows; `leadpipe delivery retry` sends it again"
    case .givenUp: "it is not tried again, but by `leadpipe delivery retry`"
    }
  }
}

/// A class of outcome, but for `lost`, which is never written down.
struct OutcomeClass: ExpressibleByArgument {
  let name: String

  init?(argument: String) {
    guard Self.allValueStrings.contains(argument) else { return nil }
    name = argument
  }

  static var allValueStrings: [String] {
    DeliveryOutcome.Class.allCases.filter { $0 != .lost }.map(\.rawValue)
  }

  static var allValueDescriptions: [String: String] {
    Dictionary(uniqueKeysWithValues: DeliveryOutcome.Class.allCases.map { ($0.rawValue, meaning(of: $0)) })
  }

  private static func meaning(of outcome: DeliveryOutcome.Class) -> String {
    switch outcome {
    case .delivered: "the provider has it"
    case .accepted: "the provider has it and will report later; no channel of this version does"
    case .retry: "a passing fault: tried again"
    case .throttled: "the channel asked us to wait; it is paused, and this cost no try"
    case .permanent: "the provider will never take this message"
    case .config: "the channel is set up wrongly; it is paused until somebody mends it"
    case .unknown: "no usable answer came: it may have arrived"
    case .lost: "its lease passed to another worker"
    case .deferred: "it was begun and put back unsent"
    }
  }
}

extension UUIDText: ExpressibleByArgument {
  /// An id as an argument gives it.
  public init?(argument: String) { self.init(argument) }
}

extension Array where Element == UUIDText {
  /// Nothing where there is none.
  var document: JSON { isEmpty ? .null : .array(map { .string($0.text) }) }
}

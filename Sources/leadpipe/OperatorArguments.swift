import ArgumentParser
import Deliveries
import Forms
import Glibc
import Terminal
import Wire

/// The options of every operator command.
struct OperatorOptions: ParsableArguments {
  @Flag(help: "Print one JSON document per line, with full recipients.") var json = false
}

/// The options of commands that change something.
struct ActorOptions: ParsableArguments {
  @Option(
    help: "The name that the timeline, the event or the audit log records (default: the user that runs the command).")
  var by: String?

  func validate() throws {
    if let by, !(1...100 ~= cleanText(by).unicodeScalars.count) {
      throw ValidationError("--by must be a name of 1 to 100 characters.")
    }
  }

  var name: JSON { .string(by.map(cleanText) ?? Account.current?.name ?? "operator") }
}

/// A point in time: ISO 8601, or an age such as `90s`, `30m`, `2h` or `7d`.
struct Moment: ExpressibleByArgument {
  let instant: Instant

  init?(argument: String) {
    let units = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    if let unit = argument.last.flatMap({ units[String($0)] }), let count = Int(strict: argument.dropLast()),
      0...100_000 ~= count
    {
      instant = Instant.now.adding(seconds: -count * unit)
    } else if let instant = Instant(iso8601: argument) ?? Instant(iso8601: argument + "T00:00:00Z") {
      self.instant = instant
    } else {
      return nil
    }
  }
}

/// The name of a channel that this version supports.
struct ChannelName: ExpressibleByArgument {
  let name: String

  init?(argument: String) {
    guard ChannelKind.names.contains(argument) else { return nil }
    name = argument
  }

  static var allValueStrings: [String] { ChannelKind.names }
  static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }
}

/// A state of a delivery, as lists show it and `--status` takes it. `failed` covers `waiting`, `parked` and `givenUp`.
enum DeliveryState: String, ExpressibleByArgument, CaseIterable {
  case pending, claimed, sending, sent, delivered, failed, waiting, parked
  case givenUp = "given-up"

  static var allValueDescriptions: [String: String] {
    Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0.meaning) })
  }

  private var meaning: String {
    switch self {
    case .pending: "waits for its first try; --status pending includes claimed deliveries"
    case .claimed: "claimed by a worker; no try has begun"
    case .sending: "a try has begun"
    case .sent: "accepted by the provider"
    case .delivered: "the provider has confirmed delivery; no channel of this version reports it"
    case .failed: "waiting, parked or given-up"
    case .waiting: "a try has failed; the next one is at NEXT"
    case .parked: "may have arrived, the outcome is unknown; `leadpipe delivery retry` sends it again"
    case .givenUp: "is not retried automatically; `leadpipe delivery retry` sends it again"
    }
  }
}

/// A class of outcome; all but `lost`, which is never recorded.
struct OutcomeClass: ExpressibleByArgument {
  let name: String

  init?(argument: String) {
    guard Self.allValueStrings.contains(argument) else { return nil }
    name = argument
  }

  static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }

  static var allValueStrings: [String] {
    DeliveryOutcome.Class.allCases.filter { $0 != .lost }.map(\.rawValue)
  }

  static var allValueDescriptions: [String: String] {
    Dictionary(uniqueKeysWithValues: DeliveryOutcome.Class.allCases.map { ($0.rawValue, meaning(of: $0)) })
  }

  private static func meaning(of outcome: DeliveryOutcome.Class) -> String {
    switch outcome {
    case .delivered: "the provider accepted it"
    case .accepted: "the provider accepted it and will report the result; no channel of this version does"
    case .retry: "a temporary error; it is retried"
    case .throttled: "the provider asked to wait; the channel is paused, and this does not count as a try"
    case .permanent: "the provider will never accept this message"
    case .config: "the channel is misconfigured; it is paused until its settings are corrected"
    case .unknown: "no usable response; it may have arrived"
    case .lost: "its lease passed to another worker"
    case .deferred: "the try was begun but nothing was sent; the delivery is due again"
    }
  }
}

/// An id as an argument: whole, or its beginning.
struct RowID: ExpressibleByArgument {
  let prefix: IDPrefix
  /// As it was typed.
  let text: String

  init?(argument: String) {
    guard let prefix = IDPrefix(argument) else { return nil }
    self.prefix = prefix
    text = argument
  }
}

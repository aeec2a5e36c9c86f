import ArgumentParser
import Forms
import Wire

/// How long a command may take.
struct TimeLimit: ExpressibleByArgument, CustomStringConvertible {
  let seconds: Int
  let description: String

  static let twelveHours = TimeLimit(seconds: 12 * 3600, description: "12h")

  private init(seconds: Int, description: String) {
    self.seconds = seconds
    self.description = description
  }

  init?(argument: String) {
    guard let unit = argument.last.flatMap({ ["s": 1, "m": 60, "h": 3600, "d": 86_400][$0] }),
      let count = Int(strict: argument.dropLast()), 1...100_000 ~= count
    else { return nil }
    self.init(seconds: count * unit, description: argument)
  }

  var defaultValueDescription: String { description }
  var deadline: Instant { .steady.adding(seconds: seconds) }
}

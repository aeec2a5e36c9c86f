import Contract
import Wire

/// How many messages a second a channel may be sent, by however many workers: Slack and Telegram take one, and hold back who
/// goes on.
package enum Pace {
  package static let settings = [setting("SLACK_PER_SECOND"), setting("TELEGRAM_PER_SECOND")]

  private static func setting(_ name: String) -> Setting {
    Setting(name) { value in
      let isRate = Int(strict: value).map((1...1000).contains) == true
      return value == "off" || isRate ? nil : "must be off, or a number of messages a second from 1 to 1000"
    }
  }

  /// The least time between two messages of each channel, in milliseconds, from checked settings.
  package static func intervals(_ settings: Settings) -> [String: Int] {
    let perSecond = ["slack": settings["SLACK_PER_SECOND"], "telegram": settings["TELEGRAM_PER_SECOND"]]
    return perSecond.compactMapValues { value in value == "off" ? nil : 1000 / (value.flatMap { Int(strict: $0) } ?? 1)
    }
  }
}

import Contract
import Deliveries
import Wire

/// How many messages a second a channel may be sent, by however many workers: Slack and Telegram take one, and hold back who
/// goes on.
package enum Pace {
  package static let settings = ChannelKind.all.compactMap(\.paceSetting).map(setting)

  private static func setting(_ name: String) -> Setting {
    Setting(name) { value in
      let isRate = Int(strict: value).map((1...1000).contains) == true
      return value == "off" || isRate ? nil : "must be off, or a number of messages a second from 1 to 1000"
    }
  }

  /// The least time between two messages of each channel, in milliseconds, from checked settings.
  package static func intervals(_ settings: Settings) -> [String: Int] {
    var intervals: [String: Int] = [:]
    for channel in ChannelKind.all {
      guard let perSecond = channel.paceSetting.map({ settings[$0] ?? "1" }), perSecond != "off" else { continue }
      intervals[channel.name] = 1000 / (Int(strict: perSecond) ?? 1)
    }
    return intervals
  }
}

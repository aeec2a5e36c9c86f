import Contract
import Deliveries
import Wire

/// The maximum number of messages per second for a channel, from all workers together. Slack and Telegram allow one and
/// throttle clients that send more.
package enum Pace {
  package static let settings = ChannelKind.all.compactMap(\.paceSetting).map(setting)

  private static func setting(_ name: String) -> Setting {
    Setting(name) { value in
      let isRate = Int(strict: value).map((1...1000).contains) == true
      return value == "off" || isRate ? nil : "must be off, or a number of messages per second from 1 to 1000"
    }
  }

  /// Returns the minimum time between two messages of each channel, in milliseconds, from checked settings.
  package static func intervals(_ settings: Settings) -> [String: Int] {
    var intervals: [String: Int] = [:]
    for channel in ChannelKind.all {
      guard let perSecond = channel.paceSetting.map({ settings[$0] ?? "1" }), perSecond != "off" else { continue }
      intervals[channel.name] = 1000 / (Int(strict: perSecond) ?? 1)
    }
    return intervals
  }
}

import Contract
import Deliveries

/// The providers of this version.
package enum Providers {
  /// If the settings select several providers of a channel, the last one is used.
  package static let all: [Provider] = [.slack, .telegram, .smtp, .resend]

  /// Returns all settings that a channel's notifier may need, each once. Which ones it needs depends on the selected
  /// provider.
  package static func settings(of channel: ChannelKind) -> [Setting] {
    all.filter { $0.channel == channel }.reduce(into: []) { known, provider in
      known += provider.settings.filter { setting in !known.contains { $0.name == setting.name } }
    }
  }

  /// Returns the provider that the settings select. Nil if they select none.
  package static func chosen(for channel: ChannelKind, where isSet: (String) -> Bool) -> Provider? {
    all.last { $0.channel == channel && isSet($0.chosenBy) }
  }

  /// Returns the recipients that the settings configure. An empty value counts as absent.
  package static func recipients(_ environment: [String: String]) -> [Recipient] {
    let environment = environment.filter { !$0.value.isEmpty }
    return ChannelKind.all.flatMap { channel in
      let addresses = chosen(for: channel) { environment[$0] != nil }?.recipients(environment) ?? []
      return addresses.map { Recipient(channel: channel.name, address: $0) }
    }
  }

  /// The settings of all channels, with their validation. None is required, because channels are optional.
  package static let known: [Setting] =
    ChannelKind.all.flatMap { channel in
      (settings(of: channel) + all.filter { $0.channel == channel }.flatMap(\.otherSettings))
        .filter { channel.settings.contains($0.name) }
    }.map { Setting($0.name, leadsTo: $0.leadsTo, validate: $0.validate) }

  /// Returns the errors in combinations of settings that are each valid.
  package static func combinationErrors(_ environment: [String: String]) -> [Setting] {
    all.flatMap { $0.combinationErrors(environment) }
  }
}

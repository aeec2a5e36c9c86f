import Contract
import Deliveries

/// The providers that this version has, and what follows from the list.
package enum Providers {
  /// Where the settings choose several providers of one channel, the last one counts.
  package static let all: [Provider] = [.slack, .telegram, .smtp, .resend]

  /// All that a notifier may need, each setting once; which of them it needs depends on the provider that is chosen.
  package static func settings(of channel: ChannelKind) -> [Setting] {
    all.filter { $0.channel == channel }.reduce(into: []) { known, provider in
      known += provider.settings.filter { setting in !known.contains { $0.name == setting.name } }
    }
  }

  /// The provider that the settings choose; nil where they choose none.
  package static func chosen(for channel: ChannelKind, where isSet: (String) -> Bool) -> Provider? {
    all.last { $0.channel == channel && isSet($0.chosenBy) }
  }

  /// Who is to be notified, as the settings say. An empty value counts as absent.
  package static func recipients(_ environment: [String: String]) -> [Recipient] {
    let environment = environment.filter { !$0.value.isEmpty }
    return ChannelKind.all.flatMap { channel in
      let addresses = chosen(for: channel) { environment[$0] != nil }?.recipients(environment) ?? []
      return addresses.map { Recipient(channel: channel.name, address: $0) }
    }
  }

  /// The settings of all channels with what a good value is, none of them required: what is not configured is no channel.
  package static let known: [Setting] =
    ChannelKind.all.flatMap { channel in
      (settings(of: channel) + all.filter { $0.channel == channel }.flatMap(\.otherSettings))
        .filter { channel.settings.contains($0.name) }
    }.map { Setting($0.name, leadsTo: $0.leadsTo, fault: $0.fault) }

  /// What is wrong between settings that are each right.
  package static func faults(_ environment: [String: String]) -> [Setting] { all.flatMap { $0.faults(environment) } }
}

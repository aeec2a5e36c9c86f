import Contract
import Deliveries
import Wire

/// A service that sends the deliveries of a channel: Slack's webhook, a Telegram bot, a mail server, Resend. The value
/// contains everything that other modules need.
package struct Provider: Sendable {
  /// Sends one delivery once, before the given instant. A failure to send is also an outcome.
  package typealias Send = (Delivery, Request, Instant) -> DeliveryOutcome

  package let channel: ChannelKind
  /// The setting whose presence selects this provider.
  package let chosenBy: String
  /// The settings that its notifier needs, with their validation.
  package let settings: [Setting]
  /// Further settings of the provider that its notifier does not need.
  package var otherSettings: [Setting] = []
  /// Errors in combinations of settings that are each valid. Without them, a partly configured channel would be
  /// ignored.
  package let combinationErrors: @Sendable (_ environment: [String: String]) -> [Setting]
  /// The addresses of the recipients that the settings name.
  package let recipients: @Sendable (_ environment: [String: String]) -> [String]
  /// Opens what all deliveries of a process share. The settings have been checked. Throws `misconfigured`, or
  /// `internalError` if libcurl cannot start.
  package let open: @Sendable (Settings) throws(Problem) -> Send
}

extension Setting {
  /// A setting of a channel, with the network destination that the channel declares for it.
  static func of(
    _ channel: ChannelKind, _ name: String, required: Bool = false,
    validate: @escaping @Sendable (String) -> String? = { _ in nil }
  ) -> Setting {
    Setting(name, required: required, leadsTo: channel.destinations[name], validate: validate)
  }

  /// A setting with a provider's web address.
  static func webAddress(of channel: ChannelKind, _ name: String, required: Bool = false) -> Setting {
    of(channel, name, required: required) { text in
      let address = WebAddress(text)
      return address.map { $0.isSecure || $0.isLoopback } == true
        ? nil : "must be an https URL (http is allowed on this machine only)"
    }
  }

  /// The address of the admin panel, for links. If it is wrong, notifications are sent without the button.
  static let frontend = Setting("FRONTEND_URL")

  /// The agency's time zone, for times in messages. If it is wrong, they are shown in UTC.
  static let zone = Setting("TIME_ZONE")

  /// A setting that is invalid if `name` is set and one of `others` is not.
  static func needing(_ others: String..., for name: String, in environment: [String: String]) -> Setting {
    let missing = others.filter { environment[$0] == nil }
    return Setting(name) { _ in missing.isEmpty ? nil : "requires \(missing.joined(separator: " and "))" }
  }
}

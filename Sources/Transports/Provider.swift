import Contract
import Deliveries
import Wire

/// A way to send the deliveries of a channel: Slack's webhook, Telegram's bot, a mail server, Resend. The value says all that
/// the rest of the product needs to know of it.
package struct Provider: Sendable {
  /// Sends one delivery once, before the instant that is given. That nothing was sent is an outcome too.
  package typealias Send = (Delivery, Request, Instant) -> DeliveryOutcome

  package let channel: ChannelKind
  /// The setting whose presence chooses this provider.
  package let chosenBy: String
  /// What it needs to send, with what a good value is.
  package let settings: [Setting]
  /// What else the operator may set for it: its notifier does not need to know.
  package var otherSettings: [Setting] = []
  /// Errors between settings that are each valid. Without them, half a channel would be ignored.
  package let faults: @Sendable (_ environment: [String: String]) -> [Setting]
  /// The addresses of the recipients that the settings name.
  package let recipients: @Sendable (_ environment: [String: String]) -> [String]
  /// Opens what all deliveries of a process share. The settings have been checked; the problem is `misconfigured`, or
  /// `internalError` where libcurl cannot start.
  package let open: @Sendable (Settings) throws(Problem) -> Send
}

extension Setting {
  /// A setting of a channel, which leads where the channel says.
  static func of(
    _ channel: ChannelKind, _ name: String, required: Bool = false,
    fault: @escaping @Sendable (String) -> String? = { _ in nil }
  ) -> Setting {
    Setting(name, required: required, leadsTo: channel.destinations[name], fault: fault)
  }

  /// The setting that holds a provider's web address.
  static func webAddress(of channel: ChannelKind, _ name: String, required: Bool = false) -> Setting {
    of(channel, name, required: required) { text in
      let address = WebAddress(text)
      return address.map { $0.isSecure || $0.isLoopback } == true
        ? nil : "must be an https address (http only on this machine)"
    }
  }

  /// The address of the admin panel, for links. A wrong one costs a notification its button, not its delivery.
  static let frontend = Setting("FRONTEND_URL")

  /// Finds a fault where `name` is set and one of `others` is not.
  static func needing(_ others: String..., for name: String, in environment: [String: String]) -> Setting {
    let missing = others.filter { environment[$0] == nil }
    return Setting(name) { _ in missing.isEmpty ? nil : "needs \(missing.joined(separator: " and ")) beside it" }
  }
}

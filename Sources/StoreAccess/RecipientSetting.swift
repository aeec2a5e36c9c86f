import Contract
import Deliveries

extension Recipient {
  /// LEADPIPE_CHANNELS: the configured channels and recipients, as `leadpipe channels` prints them. It contains no
  /// secrets.
  package static func setting(required: Bool) -> Setting {
    Setting("LEADPIPE_CHANNELS", required: required) { text in
      list(text) == nil ? "must be a JSON list of {channel, recipient}, as `leadpipe channels` prints it" : nil
    }
  }

  /// Returns the list in the setting; empty if it is not set.
  package static func configured(_ settings: Settings) -> [Recipient] {
    settings["LEADPIPE_CHANNELS"].flatMap(list) ?? []
  }
}

import Contract
import Deliveries

extension Recipient {
  /// The channels and recipients that are configured, as `leadpipe channels` prints them: names, no secrets.
  package static func setting(required: Bool) -> Setting {
    Setting("LEADPIPE_CHANNELS", required: required) { text in
      list(text) == nil ? "must be a JSON list of {channel, recipient}, as `leadpipe channels` prints it" : nil
    }
  }

  /// The list that the setting holds; empty where there is none.
  package static func configured(_ settings: Settings) -> [Recipient] {
    settings["LEADPIPE_CHANNELS"].flatMap(list) ?? []
  }
}

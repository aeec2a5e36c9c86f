import Contract
import Leads
import Wire

extension Setting {
  /// DIGEST: the time of day at which each agent gets a digest by email; `off` by default.
  package static let digest = Setting("DIGEST") { text in
    text == "off" || DigestSchedule.minute(text) != nil ? nil : "must be a time of day such as 08:30, or off"
  }
}

extension DigestSchedule {
  /// The settings that it is read from.
  package static let settings: [Setting] = [.digest] + OfficeHours.settings

  /// The schedule of DIGEST, in TIME_ZONE, on the days on which the office opens. Nil if there are no digests.
  package init?(_ settings: Settings) throws(Problem) {
    guard let text = settings["DIGEST"], text != "off" else { return nil }
    self.init(text, clock: try LocalClock(settings), hours: try OfficeHours(settings))
  }
}

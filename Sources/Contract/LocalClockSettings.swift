import Wire

extension Setting {
  /// TIME_ZONE: the agency's time zone, by its name in the tz database.
  package static let timeZone = Setting("TIME_ZONE") { name in
    Zone.isKnown(name) ? nil : "must be a time zone of this system, such as Asia/Dubai"
  }
}

extension Settings {
  /// The name of the agency's time zone.
  package var timeZone: String { self["TIME_ZONE"] ?? "Asia/Dubai" }
}

extension LocalClock {
  /// The clock of TIME_ZONE. Throws `misconfigured` if the system has no data for the zone.
  package init(_ settings: Settings) throws(Problem) {
    let name = settings.timeZone
    guard let zone = Zone(name) else {
      throw Problem.misconfigured("TIME_ZONE is not in this system's time zone database; install tzdata")
    }
    self.init(zone: name) { zone.offset(at: $0) }
  }

  /// The clock of TIME_ZONE, or of UTC if the system has no data for the zone: no message is lost for its times, and
  /// they say which zone they are in.
  package init(forMessages settings: Settings) {
    do throws(Problem) { try self.init(settings) } catch { self.init(zone: "UTC") { _ in 0 } }
  }
}

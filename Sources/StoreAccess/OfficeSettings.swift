import Contract
import Leads
import Wire

extension Setting {
  /// BUSINESS_HOURS: `Mon-Fri 09:00-18:30, Sat 10:00-15:00`. Without it, the time to the first response runs around the
  /// clock.
  package static let officeHours = Setting("BUSINESS_HOURS") { text in
    do throws(OfficeHoursError) {
      _ = try OfficeHours(text) { _ in 0 }
      return nil
    } catch { return error.reason }
  }

  /// TIME_ZONE: the agency's time zone, by its name in the tz database.
  package static let timeZone = Setting("TIME_ZONE") { name in
    Zone.isKnown(name) ? nil : "must be a time zone of this system, such as Asia/Dubai"
  }
}

extension Zone {
  /// The zone in TIME_ZONE.
  fileprivate init(_ settings: Settings) throws(Problem) {
    guard let zone = Zone(Self.name(settings)) else {
      throw Problem.misconfigured("TIME_ZONE is not in this system's time zone database; install tzdata")
    }
    self = zone
  }

  fileprivate static func name(_ settings: Settings) -> String { settings["TIME_ZONE"] ?? "Asia/Dubai" }
}

extension LocalClock {
  /// The clock of TIME_ZONE.
  package init(_ settings: Settings) throws(Problem) {
    let zone = try Zone(settings)
    self.init(zone: Zone.name(settings)) { zone.offset(at: $0) }
  }
}

extension OfficeHours {
  /// The office hours in BUSINESS_HOURS and TIME_ZONE. Nil if BUSINESS_HOURS is not set.
  package init?(_ settings: Settings) throws(Problem) {
    guard let text = settings["BUSINESS_HOURS"] else { return nil }
    let zone = try Zone(settings)
    do { try self.init(text) { zone.offset(at: $0) } } catch {
      throw Problem.misconfigured("BUSINESS_HOURS \(error.reason)")
    }
  }
}

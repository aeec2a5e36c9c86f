import Handler
import Leads
import Wire

extension Setting {
  /// BUSINESS_HOURS: `Mon-Fri 09:00-18:30, Sat 10:00-15:00`. Without it the clock of a first answer never stands still.
  package static let officeHours = Setting("BUSINESS_HOURS") { text in
    do throws(OfficeHours.Fault) {
      _ = try OfficeHours(text) { _ in 0 }
      return nil
    } catch { return error.reason }
  }

  /// TIME_ZONE: the agency's place, by its name in the tz database.
  package static let timeZone = Setting("TIME_ZONE") { name in
    Zone.isKnown(name) ? nil : "must be a zone that this system knows, such as Asia/Dubai"
  }
}

extension OfficeHours {
  /// As BUSINESS_HOURS and TIME_ZONE say; nil where there is no BUSINESS_HOURS.
  package init?(_ settings: Settings) throws(Problem) {
    guard let text = settings["BUSINESS_HOURS"] else { return nil }
    guard let zone = Zone(settings["TIME_ZONE"] ?? "Asia/Dubai") else {
      throw Problem(.misconfigured, "TIME_ZONE must be a zone that this system knows: install tzdata")
    }
    do { try self.init(text) { zone.offset(at: $0) } } catch {
      throw Problem(.misconfigured, "BUSINESS_HOURS \(error.reason)")
    }
  }
}

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

  /// HOLIDAYS: the path of an iCalendar file with the days on which other office hours apply. Handlers do not refuse a
  /// file that has become wrong since the start: a lead is worth more than the calendar.
  package static let holidays = Setting("HOLIDAYS", leadsTo: .file) { path in
    path.hasPrefix("/") ? nil : "must be an absolute path"
  }

  /// HOLIDAYS as every start checks it: the file must be one that can be used.
  package static let holidaysFile = Setting("HOLIDAYS", leadsTo: .file, validate: OfficeCalendar.fault)
}

extension OfficeHours {
  /// The settings that it is read from.
  package static let settings: [Setting] = [.officeHours, .holidays, .timeZone]

  /// The office hours in BUSINESS_HOURS and TIME_ZONE, except on the days in HOLIDAYS. Nil if neither BUSINESS_HOURS nor
  /// HOLIDAYS is set. With HOLIDAYS alone the office is open round the clock on all other days. If the file cannot be
  /// used, there is an [ERROR] line in the log and no holiday.
  package init?(_ settings: Settings) throws(Problem) {
    guard settings["BUSINESS_HOURS"] != nil || settings["HOLIDAYS"] != nil else { return nil }
    let clock = try LocalClock(settings)
    do {
      try self.init(settings["BUSINESS_HOURS"] ?? "Mon-Sun 00:00-24:00", except: OfficeCalendar(settings)) {
        clock.offset($0)
      }
    } catch { throw Problem.misconfigured("BUSINESS_HOURS \(error.reason)") }
  }
}

extension OfficeCalendar {
  /// The calendar in HOLIDAYS. Empty if it is not set, and if its file cannot be used: then a line in the log says so.
  fileprivate init(_ settings: Settings) {
    self.init()
    guard let path = settings["HOLIDAYS"] else { return }
    do { try self.init(file: path) } catch {
      Log(processEnvironment()).error("HOLIDAYS \(error.reason); office hours are counted without holidays")
    }
  }
}

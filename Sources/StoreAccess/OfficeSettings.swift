import Contract
import Glibc
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

  /// HOLIDAYS: the path of an iCalendar file with the days on which other office hours apply.
  package static let holidays = Setting("HOLIDAYS", leadsTo: .file) { path in
    path.hasPrefix("/") ? nil : "must be an absolute path"
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
  /// The settings that it is read from.
  package static let settings: [Setting] = [.officeHours, .holidays, .timeZone]

  /// The office hours in BUSINESS_HOURS and TIME_ZONE, except on the days in HOLIDAYS. Nil if neither BUSINESS_HOURS nor
  /// HOLIDAYS is set. With HOLIDAYS alone the office is open round the clock on all other days.
  package init?(_ settings: Settings) throws(Problem) {
    guard settings["BUSINESS_HOURS"] != nil || settings["HOLIDAYS"] != nil else { return nil }
    let zone = try Zone(settings)
    let calendar = try OfficeCalendar(settings)
    do {
      try self.init(settings["BUSINESS_HOURS"] ?? "Mon-Sun 00:00-24:00", except: calendar) { zone.offset(at: $0) }
    } catch { throw Problem.misconfigured("BUSINESS_HOURS \(error.reason)") }
  }
}

extension OfficeCalendar {
  /// The file's largest size in bytes.
  private static let limit = 1_048_576

  /// The calendar in HOLIDAYS. Empty if it is not set.
  fileprivate init(_ settings: Settings) throws(Problem) {
    guard let path = settings["HOLIDAYS"] else {
      self.init()
      return
    }
    do { try self.init(iCalendar: Self.read(path)) } catch {
      throw Problem.misconfigured("HOLIDAYS \(error.reason)")
    }
  }

  private static func read(_ path: String) throws(OfficeHoursError) -> String {
    // Without O_NONBLOCK, the open of a pipe would wait for its writer.
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw OfficeHoursError(reason: "cannot be read: \(String(cString: strerror(errno)))") }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw OfficeHoursError(reason: "must be a file")
    }
    guard 0...limit ~= Int(status.st_size) else { throw OfficeHoursError(reason: "is larger than 1 MiB") }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    var count = 0
    while count < bytes.count {
      let read = bytes[count...].withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
      guard read > 0 || read < 0 && errno == EINTR else { break }
      count += max(read, 0)
    }
    guard let text = String(validating: bytes[..<count], as: UTF8.self) else {
      throw OfficeHoursError(reason: "is not UTF-8")
    }
    return text
  }
}

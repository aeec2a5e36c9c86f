import Glibc

/// The local clock of a time zone, from the system's zone data through the C library. The C library has one zone per
/// process: the zone created last applies to all.
package struct Zone: Sendable {
  /// The system's data, and that of a package for AWS Lambda, whose image may have none.
  private static let folders = ["/usr/share/zoneinfo/", "/var/task/zoneinfo/"]

  /// True if the system has data for a name such as `Asia/Dubai`. False for `localtime`, which is the machine's own
  /// zone.
  package static func isKnown(_ name: String) -> Bool { file(of: name) != nil }

  private static func file(of name: String) -> String? {
    if ["localtime", "posixrules"].contains(name) { return nil }
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    let isName = parts.allSatisfy { part in
      !part.isEmpty
        && part.utf8.allSatisfy {
          0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || "_+-".utf8.contains($0)
        }
    }
    return isName ? folders.map { $0 + name }.first(where: isZoneFile) : nil
  }

  private static func isZoneFile(_ path: String) -> Bool {
    guard let file = fopen(path, "re") else { return false }
    defer { fclose(file) }
    var magic = [UInt8](repeating: 0, count: 4)
    return fread(&magic, 1, 4, file) == 4 && magic == Array("TZif".utf8)
  }

  /// Nil if the system has no data for the zone. Call it before any thread starts: it changes the environment.
  package init?(_ name: String) {
    guard let file = Self.file(of: name), setenv("TZ", ":" + file, 1) == 0 else { return nil }
    tzset()
  }

  /// Returns the offset of local time from UTC at a moment, in seconds. Positive east of UTC.
  package func offset(at moment: Instant) -> Int {
    var seconds = time_t(moment.milliseconds / 1000)
    var parts = tm()
    guard localtime_r(&seconds, &parts) != nil else { return 0 }
    return parts.tm_gmtoff
  }
}

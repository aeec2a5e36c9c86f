import Glibc

/// The local clock of a place, from the system's time zone data through the C library, which has one zone a process: the
/// zone that was made last counts for all.
package struct Zone: Sendable {
  private static let folder = "/usr/share/zoneinfo/"

  /// Whether the system has data for a name such as `Asia/Dubai`. Not `localtime`: it is whatever zone the machine is in.
  package static func isKnown(_ name: String) -> Bool {
    if ["localtime", "posixrules"].contains(name) { return false }
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    let isName = parts.allSatisfy { part in
      !part.isEmpty
        && part.utf8.allSatisfy {
          0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || "_+-".utf8.contains($0)
        }
    }
    guard isName, let file = fopen(folder + name, "re") else { return false }
    defer { fclose(file) }
    var magic = [UInt8](repeating: 0, count: 4)
    return fread(&magic, 1, 4, file) == 4 && magic == Array("TZif".utf8)
  }

  /// Nil when the system does not know the zone. To be called before there are threads: it changes the environment.
  package init?(_ name: String) {
    guard Self.isKnown(name), setenv("TZ", ":" + Self.folder + name, 1) == 0 else { return nil }
    tzset()
  }

  /// Seconds that the local clock is ahead of UTC at a moment.
  package func offset(at moment: Instant) -> Int {
    var seconds = time_t(moment.milliseconds / 1000)
    var parts = tm()
    guard localtime_r(&seconds, &parts) != nil else { return 0 }
    return parts.tm_gmtoff
  }
}

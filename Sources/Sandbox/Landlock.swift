import CProcess
import Glibc

/// The confinement that this machine's kernel can enforce.
package struct ConfinementLevel: Sendable, Equatable {
  /// Landlock's ABI version (landlock(7)). It covers files from 1, truncation from 3, TCP ports from 4, and signals to
  /// outside processes from 6. 0 if Landlock is unavailable.
  package let landlock: Int
  /// True if system calls can be refused (seccomp(2)).
  package let hasFilters: Bool

  /// The level of the running kernel.
  package static var here: ConfinementLevel {
    ConfinementLevel(landlock: Int(leadpipe_landlock_version()), hasFilters: leadpipe_has_filters() != 0)
  }

  package init(landlock: Int, hasFilters: Bool) {
    self.landlock = landlock
    self.hasFilters = hasFilters
  }

  /// The restrictions that this kernel cannot enforce, as the end of a sentence. Nil if it can enforce all.
  package var shortfall: String? {
    let missing = [
      landlock < 1 ? "files" : nil, landlock == 1 || landlock == 2 ? "truncation of files" : nil,
      landlock < 4 ? "TCP ports" : nil, landlock < 6 ? "signals to other processes" : nil,
      hasFilters ? nil : "system calls and sockets",
    ].compactMap { $0 }
    return missing.isEmpty ? nil : missing.joined(separator: ", ")
  }
}

extension Confinement {
  /// Landlock's file access rights (landlock(7)).
  private enum Right {
    static let execute: UInt64 = 1
    static let write: UInt64 = 1 << 1
    static let read: UInt64 = 1 << 2 | 1 << 3
    /// Create, change and remove files and folders in a folder, but not devices or sockets.
    static let change: UInt64 = write | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 12 | 1 << 13 | 1 << 14

    /// All rights of an ABI version. Rights that are not allowed later are then denied.
    static func all(_ version: Int) -> UInt64 {
      switch version {
      case 1: 1 << 13 - 1
      case 2: 1 << 14 - 1
      case 3, 4: 1 << 15 - 1
      default: 1 << 16 - 1
      }
    }
  }

  /// Permanently gives up all other rights: first limits, then files and ports, then system calls. If the kernel lacks
  /// a mechanism for one of them, the others still apply.
  /// - Returns: errors of mechanisms that the kernel offers but that failed, for the log. Nil if all succeeded.
  package func apply() -> String? {
    _ = leadpipe_no_new_privileges()
    // Ignore hidden files in the user's home: libpq would look there for passwords and certificates.
    setenv("HOME", "/nonexistent", 1)
    for limit in limits { limit.apply() }
    let version = Int(leadpipe_landlock_version())
    var errors: [String] = []
    if version > 0, !enterLandlock(version) { errors.append("landlock: \(String(cString: strerror(errno)))") }
    let refused = leadpipe_refuse_calls(program == .ours ? 0 : 1, hasLocalSockets ? 1 : 0, hasInternetSockets ? 1 : 0)
    if refused != 0, errno != ENOSYS, errno != EINVAL { errors.append("seccomp: \(String(cString: strerror(errno)))") }
    return errors.isEmpty ? nil : errors.joined(separator: "; ")
  }

  private func enterLandlock(_ version: Int) -> Bool {
    let files = Right.all(version)
    let net: UInt64 = version >= 4 ? 0b11 : 0
    var rules = leadpipe_landlock_rules(files, net, version >= 6 ? 0b11 : 0)
    // A kernel may report version 6 without supporting scopes.
    if rules < 0, errno == EINVAL { rules = leadpipe_landlock_rules(files, net, 0) }
    guard rules >= 0 else { return false }
    defer { close(rules) }
    for path in readable { _ = leadpipe_landlock_allow_path(rules, path, Right.read) }
    for path in executable { _ = leadpipe_landlock_allow_path(rules, path, Right.read | Right.execute) }
    for path in writable { _ = leadpipe_landlock_allow_path(rules, path, (Right.read | Right.change) & files) }
    if version >= 4 { for port in ports { _ = leadpipe_landlock_allow_port(rules, UInt64(port), 2) } }
    return leadpipe_landlock_enter(rules) == 0
  }
}

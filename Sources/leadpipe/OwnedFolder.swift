import FoundationEssentials
import Glibc
import Wire

/// Folders and files of the database's processes, which refuse to run as root. Under root they belong to the user
/// `postgres`. They are closed to all others.
enum OwnedFolder {
  /// Creates a folder that belongs to `owner` and is closed to others.
  static func make(_ path: String, for owner: Account) throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    guard chmod(path, 0o700) == 0, geteuid() != 0 || chown(path, owner.uid, owner.gid) == 0 else {
      throw CommandError("\(path): \(String(cString: strerror(errno)))")
    }
  }

  /// Writes a file that only `owner` can read. The file is replaced at once, and never through a link.
  static func write(_ text: String, to path: String, for owner: Account) throws {
    let new = path + ".new"
    unlink(new)
    let descriptor = open(new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw CommandError("\(new): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    guard geteuid() != 0 || fchown(descriptor, owner.uid, owner.gid) == 0, Console.write(text, to: descriptor),
      rename(new, path) == 0
    else { throw CommandError("cannot write \(path): \(String(cString: strerror(errno)))") }
  }

  /// True if the owner may enter every folder on the path. Root's home, for example, is closed to `postgres`.
  static func isReachable(_ path: String, by owner: Account) -> Bool {
    guard geteuid() == 0 else { return true }
    return (try? Tool.run(["/usr/bin/test", "-x", path], as: owner, seconds: 5)) != nil
  }

  /// The place for what belongs to a state folder that the owner cannot reach.
  static func elsewhere(_ state: String) -> String { "/var/lib/leadpipe/" + OwnedFolder.mark(state) }

  /// Returns a short name for a path, made from its 64-bit FNV-1a hash.
  static func mark(_ path: String) -> String {
    String(path.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }, radix: 36)
  }

  /// Encodes a path for a URL.
  static func encoded(_ path: String) -> String {
    let isPlain = { (byte: UInt8) in 0x30...0x39 ~= byte || 0x41...0x5A ~= byte || 0x61...0x7A ~= byte }
    return path.utf8.map { isPlain($0) ? String(Unicode.Scalar($0)) : "%" + String($0, radix: 16) }.joined()
  }
}

extension Account {
  /// The user that runs PostgreSQL and pgbouncer: the current one, or `postgres` under root.
  static func ofDatabase() throws -> Account {
    guard let current else { throw CommandError("the user that runs this process has no name") }
    if current.uid != 0 { return current }
    guard let postgres = Account(named: "postgres") else {
      throw CommandError("the user postgres, which runs PostgreSQL, does not exist: install the package postgresql")
    }
    return postgres
  }

  /// True if the user can read the file.
  func canRead(_ file: String) -> Bool {
    (try? Tool.run(["/usr/bin/test", "-r", file], as: self, seconds: 5)) != nil
  }
}

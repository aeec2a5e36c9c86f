import Glibc
import Host
import Wire

/// Runs a program of the system to its end.
enum Tool {
  /// Runs the program and returns its stdout, up to 1 MiB. Throws a `CommandError` with that output if it fails or does
  /// not end within `seconds`. If this process runs as root, the program runs as `user`; otherwise `user` is ignored.
  @discardableResult
  static func run(_ words: [String], as user: Account? = nil, environment: [String: String] = [:], seconds: Int) throws
    -> String
  {
    var words = words
    if let user, geteuid() == 0 {
      words =
        ["/usr/bin/setpriv", "--reuid=\(user.uid)", "--regid=\(user.gid)", "--clear-groups", "/usr/bin/env", "-C", "/"]
        + words
    }
    var environment = environment
    environment["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    environment["LC_ALL"] = "C.UTF-8"
    let child: Child
    do throws(Child.Failure) {
      child = try Child.spawn(words[0], Array(words.dropFirst()), environment: environment, pipesError: false)
    } catch { throw CommandError(error.reason) }
    close(child.input)
    let output = readUntilEnd(child.output, limit: 1_048_576, milliseconds: seconds * 1000)
    close(child.output)
    let end = child.wait(until: output == nil ? .steady : Instant.steady.adding(seconds: 5))
    let text = String(decoding: output ?? [], as: UTF8.self)
    guard end == .exited(0) else {
      let how = output == nil ? "timed out after \(seconds) s" : end.map(String.init(describing:)) ?? "no status"
      throw CommandError("\(words.joined(separator: " ")) failed (\(how)): \(text)")
    }
    return text
  }
}

/// A user of the system.
struct Account {
  let name: String
  let uid: uid_t
  let gid: gid_t

  init?(named name: String) {
    guard let entry = getpwnam(name) else { return nil }
    self.init(entry)
  }

  /// The user that this process runs as; nil if the user has no name.
  static var current: Account? { getpwuid(geteuid()).map(Account.init) }

  /// Returns `the user NAME`, or the id of a user without a name.
  static func name(of uid: uid_t) -> String {
    getpwuid(uid).map { "the user " + String(cString: $0.pointee.pw_name) } ?? "the user with the id \(uid)"
  }

  private init(_ entry: UnsafeMutablePointer<passwd>) {
    name = String(cString: entry.pointee.pw_name)
    uid = entry.pointee.pw_uid
    gid = entry.pointee.pw_gid
  }
}

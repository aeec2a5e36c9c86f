import CProcess
import Contract
import Glibc
import Sandbox

/// The command line that starts a foreign handler. `bin/confine` gives up the rights that the handler must not have and
/// then becomes it with exec. This type both writes and reads the command line:
/// `confine [--seconds N] [--address-space MIB] [--read PATH]… [--write PATH]… [--connect PORT]… -- PROGRAM
/// ARGUMENTS…`.
package struct Launch: Sendable, Equatable {
  package var program: String
  package var arguments: [String]
  package var grants = Confinement.Grants()
  /// CPU time in seconds. Set for a process that takes one request.
  package var seconds: Int?

  package init(program: String, arguments: [String], grants: Confinement.Grants = .init(), seconds: Int? = nil) {
    self.program = program
    self.arguments = arguments
    self.grants = grants
    self.seconds = seconds
  }

  /// The path of the launcher, which is in the same folder as the running program.
  package static let path: String = {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count)
    let own = String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
    return (own.lastIndex(of: "/").map { String(own[..<$0]) } ?? ".") + "/confine"
  }()

  /// The launcher's arguments.
  package var words: [String] {
    var words = seconds.map { ["--seconds", String($0)] } ?? []
    if let size = grants.addressSpace { words += ["--address-space", String(size)] }
    for path in grants.read { words += ["--read", path] }
    for path in grants.write { words += ["--write", path] }
    for port in grants.connect { words += ["--connect", String(port)] }
    return words + ["--", program] + arguments
  }

  /// Reads arguments as written by `words`. Nil for anything else.
  package init?(_ words: [String]) {
    guard let end = words.firstIndex(of: "--"), end.isMultiple(of: 2), words.count > end + 1 else { return nil }
    self.init(program: words[end + 1], arguments: Array(words[(end + 2)...]))
    for at in stride(from: 0, to: end, by: 2) {
      let value = words[at + 1]
      switch (words[at], Int(value)) {
      case ("--seconds", let number?): seconds = number
      case ("--address-space", let number?): grants.addressSpace = number
      case ("--connect", let number?): grants.connect.append(number)
      case ("--read", _): grants.read.append(value)
      case ("--write", _): grants.write.append(value)
      default: return nil
      }
    }
  }

  /// Returns the confinement that applies to the handler.
  package func confinement(_ environment: [String: String]) -> Confinement {
    let reach = Reach(TrustClass.destinations, environment)
    return Confinement(.foreign(path: program), reach: reach, grants: grants, seconds: seconds)
  }

  /// Runs the launcher. It returns only if the handler cannot be started; the result is the exit status.
  package static func main(_ arguments: [String]) -> Int32 {
    let environment = processEnvironment()
    let log = Log(environment)
    guard let launch = Launch(Array(arguments.dropFirst())) else {
      log.error(
        "usage: confine [--seconds N] [--address-space MIB] [--read PATH] [--write PATH] [--connect PORT] -- PROGRAM "
          + "ARGUMENTS")
      return 64
    }
    if environment["LEADPIPE_SUPERVISED"] != nil { _ = leadpipe_parent_death_signal(SIGTERM) }
    if let refusal = launch.confinement(environment).apply() {
      log.warn("Confinement is incomplete", ["reason": refusal])
    }
    let words = ([launch.program] + launch.arguments).map { strdup($0) } + [nil]
    execv(launch.program, words)
    log.error("A handler cannot be started", ["reason": String(cString: strerror(errno))])
    return errno == ENOENT ? 127 : 126
  }
}

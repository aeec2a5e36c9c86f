import CProcess
import Contract
import Glibc
import Sandbox

/// How a foreign handler is started: by `bin/confine`, which gives up what the handler may not have and becomes it. The same
/// type writes that command line and reads it:
/// `confine [--seconds N] [--read PATH]… [--write PATH]… [--connect PORT]… -- PROGRAM ARGUMENTS…`.
package struct Launch: Sendable, Equatable {
  package var program: String
  package var arguments: [String]
  package var grants = Confinement.Grants()
  /// Processor time, where the process takes one request.
  package var seconds: Int?

  package init(program: String, arguments: [String], grants: Confinement.Grants = .init(), seconds: Int? = nil) {
    self.program = program
    self.arguments = arguments
    self.grants = grants
    self.seconds = seconds
  }

  /// The launcher, beside the program that runs.
  package static let path: String = {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count)
    let own = String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
    return (own.lastIndex(of: "/").map { String(own[..<$0]) } ?? ".") + "/confine"
  }()

  /// Its arguments for this.
  package var words: [String] {
    var words = seconds.map { ["--seconds", String($0)] } ?? []
    for path in grants.read { words += ["--read", path] }
    for path in grants.write { words += ["--write", path] }
    for port in grants.connect { words += ["--connect", String(port)] }
    return words + ["--", program] + arguments
  }

  /// Reads what `words` wrote; nil for anything else.
  package init?(_ words: [String]) {
    guard let end = words.firstIndex(of: "--"), end.isMultiple(of: 2), words.count > end + 1 else { return nil }
    self.init(program: words[end + 1], arguments: Array(words[(end + 2)...]))
    for at in stride(from: 0, to: end, by: 2) {
      let value = words[at + 1]
      switch (words[at], Int(value)) {
      case ("--seconds", let number?): seconds = number
      case ("--connect", let number?): grants.connect.append(number)
      case ("--read", _): grants.read.append(value)
      case ("--write", _): grants.write.append(value)
      default: return nil
      }
    }
  }

  /// What the handler is then held to.
  package func confinement(_ environment: [String: String]) -> Confinement {
    let reach = Reach(TrustClass.destinations, environment)
    return Confinement(.foreign(path: program), reach: reach, grants: grants, seconds: seconds)
  }

  /// The launcher itself: returns only where the handler cannot be started, with the exit status.
  package static func main(_ arguments: [String]) -> Int32 {
    let environment = processEnvironment()
    let log = Log(environment)
    guard let launch = Launch(Array(arguments.dropFirst())) else {
      log.error("usage: confine [--seconds N] [--read PATH] [--write PATH] [--connect PORT] -- PROGRAM ARGUMENTS")
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

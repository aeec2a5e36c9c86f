import CProcess
import Contract
import Glibc
import Wire

/// A child process. It has its own process group, only the given environment (plus `commonEnvironment`), and no
/// inherited descriptors except its three. The owner of a Child must close the descriptors and wait for the process.
package struct Child: Sendable {
  package let pid: pid_t
  /// Our end of its stdin, for writing.
  package let input: Int32
  /// Our end of its stdout, for reading.
  package let output: Int32
  /// Our end of its stderr, or -1 if it shares ours.
  package let error: Int32

  /// Why a process could not be started: the failed call and its errno.
  package struct Failure: Error, Sendable {
    package let call: String
    package let code: Int32

    package init(call: String, code: Int32) {
      self.call = call
      self.code = code
    }

    package var reason: String { "\(call): \(String(cString: strerror(code)))" }
  }

  /// Environment variables of every child. Swift's crash reports are disabled because they can hang a dying process.
  /// LEADPIPE_SUPERVISED marks our own programs as supervised. LEADPIPE_JOURNAL is set if our log, and so the child's,
  /// goes to systemd's journal.
  package static let commonEnvironment = ["SWIFT_BACKTRACE": "enable=no", "LEADPIPE_SUPERVISED": "1"].merging(
    Log.goesToJournal(processEnvironment()) ? ["LEADPIPE_JOURNAL": "1"] : [:]
  ) { $1 }

  /// Starts a handler, directly or through its launcher. Otherwise the same as for any program.
  package static func spawn(
    _ handler: HostedHandler, _ arguments: [String] = [], environment: [String: String], pipesError: Bool
  ) throws(Failure) -> Child {
    let command = handler.command(arguments)
    return try spawn(command.path, command.arguments, environment: environment, pipesError: pipesError)
  }

  /// Starts `path` with `arguments` (without the program name). All three descriptors are piped to us, or, unless
  /// `pipesError` is set, stderr is shared with ours.
  package static func spawn(
    _ path: String, _ arguments: [String] = [], environment: [String: String], pipesError: Bool
  ) throws(Failure) -> Child {
    let input = try Pipe()
    var opened = [input]
    defer { for pipe in opened { pipe.close() } }
    let output = try Pipe()
    opened.append(output)
    let error = pipesError ? try Pipe() : nil
    if let error { opened.append(error) }
    let pid = try start(path, arguments, environment: environment) { actions in
      posix_spawn_file_actions_adddup2(actions, input.reading, 0)
      posix_spawn_file_actions_adddup2(actions, output.writing, 1)
      if let error { posix_spawn_file_actions_adddup2(actions, error.writing, 2) }
    }
    opened = []
    close(input.reading)
    close(output.writing)
    if let error { close(error.writing) }
    return Child(pid: pid, input: input.writing, output: output.reading, error: error?.reading ?? -1)
  }

  /// Starts a service. Its stdin is empty; its stdout and stderr both go to our stderr.
  package static func service(
    _ path: String, _ arguments: [String] = [], environment: [String: String]
  ) throws(Failure) -> Child {
    let pid = try start(path, arguments, environment: environment) { actions in
      posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0)
      posix_spawn_file_actions_adddup2(actions, 2, 1)
    }
    return Child(pid: pid, input: -1, output: -1, error: -1)
  }

  private static func start(
    _ path: String, _ arguments: [String], environment: [String: String],
    descriptors: (UnsafeMutablePointer<posix_spawn_file_actions_t>) -> Void
  ) throws(Failure) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    descriptors(&actions)
    posix_spawn_file_actions_addclosefrom_np(&actions, 3)

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    var all = sigset_t()
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    let words = environment.merging(commonEnvironment) { given, _ in given }
      .map { "\($0.key)=\($0.value)" }.sorted()
    var pid: pid_t = 0
    let code = withCStrings([path] + arguments) { argv in
      withCStrings(words) { envp in posix_spawn(&pid, path, &actions, &attributes, argv, envp) }
    }
    guard code == 0 else { throw Failure(call: "posix_spawn \(path)", code: code) }
    return pid
  }

  /// Sends a signal to the process's whole group.
  package func signalGroup(_ signal: Int32) { _ = kill(-pid, signal) }

  /// Waits for the end without reaping the process, so that its pid is not reused.
  package func awaitEnd() {
    var info = siginfo_t()
    while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) < 0, errno == EINTR {}
  }

  /// Waits for the end and returns the status from waitpid(2). Nil if the process has already been waited for.
  package func wait() -> Termination? {
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 { if errno != EINTR { return nil } }
    return Termination(waitStatus: status)
  }

  /// Waits for the end until `deadline`, then kills the whole group.
  package func wait(until deadline: Instant) -> Termination? {
    while Instant.steady < deadline {
      if let end = poll() { return end }
      usleep(2000)
    }
    signalGroup(SIGKILL)
    return wait()
  }

  /// Returns how the process ended, without waiting. Nil while it runs.
  package func poll() -> Termination? {
    var status: Int32 = 0
    return waitpid(pid, &status, WNOHANG) == pid ? Termination(waitStatus: status) : nil
  }
}

/// How a process ended.
package enum Termination: Sendable, Equatable, CustomStringConvertible {
  case exited(Int32)
  case signalled(Int32)

  package init(waitStatus: Int32) {
    self = waitStatus & 0x7F == 0 ? .exited(waitStatus >> 8 & 0xFF) : .signalled(waitStatus & 0x7F)
  }

  package var description: String {
    switch self {
    case .exited(let status): "exit status \(status)"
    case .signalled(let signal): "signal \(signal)"
    }
  }
}

/// A pipe whose descriptors are closed on exec.
private struct Pipe {
  let reading: Int32
  let writing: Int32

  init() throws(Child.Failure) {
    var ends: [Int32] = [-1, -1]
    guard pipe2(&ends, O_CLOEXEC) == 0 else { throw Child.Failure(call: "pipe", code: errno) }
    (reading, writing) = (ends[0], ends[1])
  }

  func close() {
    Glibc.close(reading)
    Glibc.close(writing)
  }
}

private func withCStrings<R>(_ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> R) -> R {
  let pointers = strings.map { strdup($0) }
  defer { pointers.forEach { free($0) } }
  return body(pointers + [nil])
}

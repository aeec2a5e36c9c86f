import Glibc
import Host
import Wire

/// A running client program of PostgreSQL. What it writes to stderr is kept for the error message. A signal for this
/// command (see `Interruption`) and a time limit end the program with its whole process group.
final class ClientProcess {
  private let client: PostgresClient
  private let child: Child
  private var input: Int32
  private var errors: [UInt8] = []
  private var openOutputs: Set<Int32>
  private var hasEnded = false

  private static let mostErrors = 16_384
  private static let chunk = 262_144

  init(_ client: PostgresClient, _ arguments: [String]) throws {
    self.client = client
    do throws(Child.Failure) {
      child = try Child.spawn(client.path, arguments, environment: client.environment, pipesError: true)
    } catch { throw CommandError(error.reason) }
    input = child.input
    openOutputs = [child.output, child.error]
    for descriptor in [child.input, child.output, child.error] {
      _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }
  }

  deinit {
    if !hasEnded { stop() }
    closeInput()
    close(child.output)
    close(child.error)
  }

  /// Writes `bytes` to the program's stdin. If the program has closed it, throws with what the program says.
  func write(_ bytes: ArraySlice<UInt8>, until deadline: Instant) throws {
    var rest = bytes
    while !rest.isEmpty {
      try poll(until: deadline, wantsToWrite: true) { _ in }
      let count = rest.withUnsafeBytes { Glibc.write(input, $0.baseAddress, $0.count) }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if errno == EPIPE {
        try end(until: min(deadline, .steady.adding(seconds: 10))) { _ in }
        throw CommandError("\(client.name) ended early")
      } else if errno != EAGAIN, errno != EINTR {
        throw CommandError("cannot write to \(client.name): \(String(cString: strerror(errno)))")
      }
    }
  }

  func write(_ text: String, until deadline: Instant) throws { try write(Array(text.utf8)[...], until: deadline) }

  /// Reads stdout to its end and waits for the program. Throws with its words if it fails.
  /// - Parameter standardInput: what it reads from stdin.
  func read(_ standardInput: String = "", until deadline: Instant, _ take: (ArraySlice<UInt8>) throws -> Void) throws {
    if !standardInput.isEmpty { try write(standardInput, until: deadline) }
    try end(until: deadline, take)
  }

  /// Closes stdin and waits for the program. Throws with its words if it fails.
  func end(until deadline: Instant, _ take: (ArraySlice<UInt8>) throws -> Void) throws {
    closeInput()
    while !openOutputs.isEmpty { try poll(until: deadline, wantsToWrite: false, take) }
    let status = child.wait(until: max(deadline, .steady.adding(seconds: 1)))
    hasEnded = true
    guard status == .exited(0) else { throw failure(status.map(String.init(describing:)) ?? "no status") }
  }

  /// Ends the program, and waits until it has ended.
  private func stop() {
    child.signalGroup(SIGTERM)
    _ = child.wait(until: .steady.adding(seconds: 5))
    hasEnded = true
  }

  /// Waits until a descriptor is ready, reads what there is, and returns when stdin can be written if that is wanted.
  private func poll(until deadline: Instant, wantsToWrite: Bool, _ take: (ArraySlice<UInt8>) throws -> Void) throws {
    while true {
      if Interruption.isRequested {
        stop()
        throw CommandError("interrupted")
      }
      guard Instant.steady < deadline else {
        stop()
        throw CommandError("\(client.name) was not done within the time limit (--time-limit)")
      }
      var entries = openOutputs.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      if wantsToWrite { entries.append(pollfd(fd: input, events: Int16(POLLOUT), revents: 0)) }
      // Half a second, because a signal between the question above and this call does not end it.
      guard Glibc.poll(&entries, nfds_t(entries.count), 500) > 0 else { continue }
      for entry in entries where entry.revents != 0 && entry.fd != input { try readSome(entry.fd, take) }
      if !wantsToWrite || entries.contains(where: { $0.fd == input && $0.revents != 0 }) { return }
    }
  }

  private func readSome(_ descriptor: Int32, _ take: (ArraySlice<UInt8>) throws -> Void) throws {
    var buffer = [UInt8](repeating: 0, count: Self.chunk)
    let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
    if count > 0, descriptor == child.error {
      errors += buffer[..<min(count, max(0, Self.mostErrors - errors.count))]
    } else if count > 0 {
      try take(buffer[..<count])
    } else if count == 0 || errno != EAGAIN && errno != EINTR {
      openOutputs.remove(descriptor)
    }
  }

  private func closeInput() {
    if input >= 0 { close(input) }
    input = -1
  }

  /// The first lines that the program wrote to stderr, which name the cause.
  private func failure(_ status: String) -> CommandError {
    let lines = String(decoding: errors, as: UTF8.self).split(separator: "\n").filter { !$0.contains(" NOTICE: ") }
    let words = lines.prefix(6).map { Listing.plain(String($0)) }.joined(separator: "\n  ")
    return CommandError("\(client.name) failed (\(status))" + (words.isEmpty ? "" : ": \(words)"))
  }
}

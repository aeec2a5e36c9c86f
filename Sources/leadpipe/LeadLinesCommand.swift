import ArgumentParser
import Contract
import Glibc
import Host
import Terminal
import Wire

/// `leadpipe lead-lines`: the filter through which `leadpipe up` sends the log of all services if it runs on a
/// terminal.
struct LeadLinesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lead-lines", abstract: "Shorten a log on stdin to one line for each lead, on stderr.",
    shouldDisplay: false)

  func run() throws {
    signal(SIGINT, SIG_IGN)
    signal(SIGTERM, SIG_IGN)
    var lines = LeadLines()
    var unfinished: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      var entry = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
      if poll(&entry, 1, lines.isWaiting ? 200 : -1) == 1 {
        let count = buffer.withUnsafeMutableBytes { read(0, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { break }
        unfinished += buffer[..<count]
        while let end = unfinished.firstIndex(of: 0x0A) {
          show(lines.take(String(decoding: unfinished[..<end], as: UTF8.self), now: Instant.steady.milliseconds))
          unfinished.removeSubrange(...end)
        }
      }
      show(lines.due(now: Instant.steady.milliseconds))
    }
    show(lines.end() + (unfinished.isEmpty ? [] : [String(decoding: unfinished, as: UTF8.self)]))
  }

  private func show(_ lines: [String]) {
    for line in lines { Console.printError(line + "\n") }
  }
}

/// The short log of `leadpipe up` on a terminal: while it is open, stderr of this process, and so of its services, goes
/// through `leadpipe lead-lines`.
final class ShortLog {
  private let filter: Child
  /// The terminal.
  private let terminal: Int32
  private var isOpen = true

  /// Nil if stderr is not a terminal, or if LOG_LEVEL or LOG_FORMAT selects what is logged.
  init?(_ environment: [String: String], leadpipe: String) throws {
    guard isatty(2) == 1, environment["LOG_LEVEL"] == nil, environment["LOG_FORMAT"] == nil else { return nil }
    terminal = fcntl(2, F_DUPFD_CLOEXEC, 3)
    do throws(Child.Failure) {
      filter = try Child.spawn(leadpipe, ["lead-lines"], environment: [:], pipesError: false)
    } catch { throw CommandError(error.reason) }
    dup2(filter.input, 2)
    Glibc.close(filter.input)
    Glibc.close(filter.output)
  }

  /// Writes what is left, and gives stderr back to the terminal. All services must have ended.
  func close() {
    guard isOpen else { return }
    isOpen = false
    dup2(terminal, 2)
    Glibc.close(terminal)
    _ = filter.wait(until: Instant.steady.adding(seconds: 3))
  }
}

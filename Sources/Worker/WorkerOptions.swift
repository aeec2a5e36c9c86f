import Glibc
import Wire

/// What the operator's settings make of the worker.
package struct WorkerOptions: Sendable {
  package var name: String
  /// The name of this machine: what dead workers of it held is given back.
  package var host: String
  /// A text for each channel that changes with its settings: a change ends its pause.
  package var fingerprints: [String: String] = [:]
  package var pollSeconds: Int
  package var batchSize: Int
  /// Where handlers tap; nil leaves the poll alone.
  package var wakePath: String?
  /// Whether to listen for captures of other machines too.
  package var listens = false
  /// The least time between two messages of a channel, in milliseconds; none where a channel is not named.
  package var intervals: [String: Int] = [:]
  /// Steps that have had nothing to do for this long end.
  package var idleSeconds = 60

  package init(host: String, pollSeconds: Int, batchSize: Int, wakePath: String?) {
    self.host = host
    name = "\(host):\(getpid())"
    self.pollSeconds = pollSeconds
    self.batchSize = batchSize
    self.wakePath = wakePath
  }

  /// How many deliveries of a channel are held at most.
  func capacity(of channel: String) -> Int {
    guard let interval = intervals[channel], interval > 0 else {
      // A batch is claimed while the one before is sent.
      return 2 * batchSize
    }
    // No more of a channel with a pace than it may send in ten seconds: a third of the shortest lease.
    return min(batchSize, max(1, 10_000 / interval))
  }

  /// The workers of this machine that may live, as they name themselves.
  func living() -> [String] {
    guard let folder = opendir("/proc") else { return [name] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder), names.count < 4000 {
      let pid = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard Int(strict: pid) != nil, let file = fopen("/proc/\(pid)/comm", "re") else { continue }
      defer { fclose(file) }
      var buffer = [CChar](repeating: 0, count: 32)
      guard fgets(&buffer, 32, file) != nil, strcmp(buffer, "leadpipe\n") == 0 else { continue }
      names.append("\(host):\(pid)")
    }
    return names
  }
}

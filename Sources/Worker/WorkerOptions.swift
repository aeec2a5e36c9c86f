import Glibc
import Wire

/// The options of the worker, from the operator's settings.
package struct WorkerOptions: Sendable {
  package var name: String
  /// The name of this machine. The claims of its workers that no longer run are released at start.
  package var host: String
  /// For each channel a string that changes with its settings. A change ends the channel's pause.
  package var fingerprints: [String: String] = [:]
  package var pollSeconds: Int
  package var batchSize: Int
  /// The path of the socket on which handlers wake the worker; nil if the worker only polls.
  package var wakePath: String?
  /// True if the worker also listens for captures on other machines.
  package var listens = false
  /// The minimum time between two messages of a channel, in milliseconds. A channel without an entry has no limit.
  package var intervals: [String: Int] = [:]
  /// A step that has been idle for this long is ended.
  package var idleSeconds = 60

  package init(host: String, pollSeconds: Int, batchSize: Int, wakePath: String?) {
    self.host = host
    name = "\(host):\(getpid())"
    self.pollSeconds = pollSeconds
    self.batchSize = batchSize
    self.wakePath = wakePath
  }

  /// The maximum number of deliveries of a channel that the worker holds.
  func capacity(of channel: String) -> Int {
    guard let interval = intervals[channel], interval > 0 else {
      // One batch is claimed while the previous one is sent.
      return 2 * batchSize
    }
    // At most as many as may be sent in ten seconds, which is a third of the shortest lease.
    return min(batchSize, max(1, 10_000 / interval))
  }

  /// The names of workers on this machine that may be running: all processes named `leadpipe`.
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

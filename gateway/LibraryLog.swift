import Contract
import Glibc
import Logging

/// What the libraries log, from warnings on, in our own log.
struct LibraryLog: LogHandler {
  let log: Log
  var metadata: Logger.Metadata = [:]
  var metadataProvider: Logger.MetadataProvider?
  var logLevel = Logger.Level.warning

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    if event.level >= .error { log.error("\(event.message)") } else { log.warn("\(event.message)") }
  }
}

/// How many descriptors this process may have.
enum Descriptors {
  /// Raises the limit as far as the system allows, and returns how many connections that leaves.
  static func raise(reserved: Int) -> Int {
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    var limit = rlimit()
    guard getrlimit(resource, &limit) == 0 else { return 256 }
    limit.rlim_cur = min(limit.rlim_max, 16_384)
    setrlimit(resource, &limit)
    return max(64, Int(limit.rlim_cur) - reserved)
  }
}

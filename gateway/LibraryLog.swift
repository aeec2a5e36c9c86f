import Contract
import Logging

/// Writes the warnings and errors of libraries to the gateway's log.
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

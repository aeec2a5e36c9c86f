import Glibc

/// Serves requests with one of the handlers of this executable: the one that has the name of the file or link that was
/// started. `_HANDLER`, the handler setting of an AWS Lambda function, selects it if the file must have another name.
/// Exits with a list of the names if none is selected.
/// - Parameter counter: makes the counter of requests for entry points without a gateway; nil if the handlers have no
///   database.
package func serve(
  _ handlers: KeyValuePairs<String, () -> Handler>, counter: (@Sendable (Settings) -> (any RequestCounter)?)? = nil
) -> Never {
  let words = [CommandLine.arguments.first, startedFile(), getenv("_HANDLER").map { String(cString: $0) }]
  let names = words.map { $0?.split(separator: "/").last.map(String.init) }
  for name in names {
    if let found = handlers.first(where: { $0.key == name }) {
      var handler = found.value()
      handler.counter = counter
      handler.run()
    }
  }
  let list = handlers.map(\.key).joined(separator: ", ")
  let name = (names[0] ?? "").unicodeScalars.map { (" "..."~").contains($0) ? String($0) : "?" }.joined()
  _ = StandardError.write(
    "no handler here has the name \(name); name the file or a link to it after one of these: \(list)\n")
  exit(ExitStatus.usage)
}

/// Returns the path of this executable without symbolic links; nil where /proc is absent.
private func startedFile() -> String? {
  var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
  let count = buffer.withUnsafeMutableBytes { bytes in
    bytes.baseAddress.map { readlink("/proc/self/exe", $0.assumingMemoryBound(to: CChar.self), bytes.count) } ?? -1
  }
  return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : nil
}

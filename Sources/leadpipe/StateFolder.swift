import FoundationEssentials
import Glibc

/// The state folder: what one house keeps between its runs. Only its owner can look into it, and one house at a time uses it.
struct StateFolder {
  let path: String

  init(_ path: String) throws {
    let here = FileManager.default.currentDirectoryPath
    let absolute = path.hasPrefix("/") ? path : here + "/" + path
    do { try FileManager.default.createDirectory(atPath: absolute, withIntermediateDirectories: true) } catch {
      throw CommandError("LEADPIPE_STATE \(absolute) cannot be made")
    }
    // The folder lets others through, for the database may run as another user; what is secret in it is closed by itself.
    chmod(absolute, 0o711)
    self.path = absolute
    let lock = open(absolute + "/lock", O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
    guard lock >= 0, flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      throw CommandError(
        "\(absolute) is in use by another `leadpipe up`; give this one its own LEADPIPE_STATE and PORT")
    }
    // The lock is held until this process ends.
  }

  var adminKeyFile: String { path + "/admin-key" }

  /// Where handlers tap the worker.
  var wakeSocket: String { socket("wake") }

  /// Where the gateway answers its operator.
  var operationsSocket: String { socket("operations") }

  /// A socket's path has at most 107 bytes.
  private func socket(_ name: String) -> String {
    let own = path + "/\(name).sock"
    return own.utf8.count <= 107 ? own : "/tmp/leadpipe-\(name)-\(PrivateCluster.mark(path)).sock"
  }

  /// The key of the admin, made at the first start: 256 random bits.
  func adminKey() throws -> String {
    if let data = FileManager.default.contents(atPath: adminKeyFile), let text = String(data: data, encoding: .utf8) {
      let key = text.filter { !$0.isWhitespace }
      if key.count >= 32 { return key }
    }
    let key = (0..<32).map { _ in UInt8.random(in: .min ... .max) }.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
      .joined()
    try write(key + "\n", to: adminKeyFile)
    return key
  }

  var settingsFile: String { path + "/env" }

  /// Leaves the settings of a running house for the shell: `. .leadpipe/env`.
  func write(settings: [String: String]) throws {
    let lines = settings.sorted { $0.key < $1.key }.map { "export \($0.key)=\(Self.quoted($0.value))\n" }
    try write(lines.joined(), to: settingsFile)
  }

  /// The settings that the last run left, as far as their values hold no quote.
  func settingsLeft() -> [String: String] {
    guard let data = FileManager.default.contents(atPath: settingsFile) else { return [:] }
    var left: [String: String] = [:]
    for line in String(decoding: data, as: UTF8.self).split(separator: "\n") {
      let parts = line.dropFirst("export ".count).split(separator: "=", maxSplits: 1)
      if parts.count == 2 { left[String(parts[0])] = String(parts[1].dropFirst().dropLast()) }
    }
    return left
  }

  /// One word of the shell, whatever stands in it.
  private static func quoted(_ text: String) -> String {
    "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }

  /// Only the owner can read the file, from its first byte on.
  private func write(_ text: String, to file: String) throws {
    let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw CommandError("\(file): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    guard fchmod(descriptor, 0o600) == 0, Console.write(text, to: descriptor) else {
      throw CommandError("\(file) cannot be written")
    }
  }
}

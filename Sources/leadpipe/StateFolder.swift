import FoundationEssentials
import Glibc
import Wire

/// The state folder: what one instance keeps between its runs. Only its owner can list it, and only one instance at a
/// time can use it.
final class StateFolder {
  let path: String
  /// The open lock file. Its lock is held until this process ends.
  private var lock: Int32
  /// The contents of the files that this process needs, by path.
  private var files: [String: String] = [:]

  init(_ path: String) throws {
    let here = FileManager.default.currentDirectoryPath
    let absolute = path.hasPrefix("/") ? path : here + "/" + path
    do { try FileManager.default.createDirectory(atPath: absolute, withIntermediateDirectories: true) } catch {
      throw CommandError("cannot create the state folder \(absolute): \(Self.obstacle(absolute)); \(Self.advice)")
    }
    var status = stat()
    if stat(absolute, &status) == 0, status.st_uid != geteuid(), geteuid() != 0 {
      throw CommandError("the state folder \(absolute) belongs to \(Self.name(status.st_uid)); \(Self.advice)")
    }
    if let entry = Self.foreignEntry(in: absolute) {
      throw CommandError(
        "the state folder \(absolute) is used by something else: it contains \(entry); set LEADPIPE_STATE to an empty or "
          + "a new folder")
    }
    // Other users may pass through the folder, because the database may run as another user. Each secret file in it is
    // readable by its owner only.
    chmod(absolute, 0o711)
    self.path = absolute
    lock = open(absolute + "/lock", O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
    guard lock >= 0 else {
      let reason = String(cString: strerror(errno))
      throw CommandError("cannot write to the state folder \(absolute): \(reason); \(Self.advice)")
    }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      throw CommandError(
        "\(absolute) is in use by another `leadpipe up`; set LEADPIPE_STATE and PORT to other values for this one")
    }
  }

  /// True if nothing else has taken the folder's place.
  var isIntact: Bool {
    var own = stat()
    var current = stat()
    return fstat(lock, &own) == 0 && stat(path + "/lock", &current) == 0 && own.st_ino == current.st_ino
      && own.st_dev == current.st_dev
  }

  /// Makes the folder and its files again if they were deleted. Returns false if there was nothing to do. Never writes
  /// into a folder that something else has put in its place.
  func restore() throws -> Bool {
    if isIntact { return false }
    var current = stat()
    if lstat(path, &current) == 0 {
      guard current.st_mode & S_IFMT == S_IFDIR, current.st_uid == geteuid() else {
        throw CommandError("\(path) is no longer the state folder")
      }
      if let entry = Self.foreignEntry(in: path) { throw CommandError("\(path) contains \(entry)") }
    } else {
      do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
        throw CommandError(Self.obstacle(path))
      }
    }
    chmod(path, 0o711)
    let new = open(path + "/lock", O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, 0o600)
    guard new >= 0 else { throw CommandError("\(path)/lock: \(String(cString: strerror(errno)))") }
    do {
      guard flock(new, LOCK_EX | LOCK_NB) == 0 else { throw CommandError("another `leadpipe up` uses \(path)") }
      for (file, text) in files { try write(text, to: file) }
    } catch {
      close(new)
      unlink(path + "/lock")
      throw error
    }
    close(lock)
    lock = new
    return true
  }

  /// What a state folder contains before its lock is made. A gateway and a worker that restart make their sockets.
  private static let ownEntries: Set<String> = [
    "lock", "admin-key", "form-token-secret", "env", "pooler", "postgres", "sink.ndjson", "lost+found",
    "operations.sock", "wake.sock",
  ]

  /// Returns the name of an entry that no `leadpipe up` has made; nil for an empty folder and for one that was used
  /// before. The permissions of the folder are changed, which must not happen to /tmp or a home folder.
  private static func foreignEntry(in path: String) -> String? {
    var status = stat()
    if lstat(path + "/lock", &status) == 0, status.st_mode & S_IFMT == S_IFREG { return nil }
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return entries.filter { !ownEntries.contains($0) }.min()
  }

  private static let advice = "set LEADPIPE_STATE to a folder that you may write to"

  /// Returns why a folder cannot be created: the nearest folder on the path that exists, and what is wrong with it.
  private static func obstacle(_ path: String) -> String {
    var parent = path
    var status = stat()
    while parent.count > 1, stat(parent, &status) != 0, errno == ENOENT || errno == ENOTDIR {
      let end = parent.utf8.lastIndex(of: UInt8(ascii: "/")) ?? parent.startIndex
      parent = end == parent.startIndex ? "/" : String(parent[..<end])
    }
    guard stat(parent, &status) == 0 else { return "\(parent): \(String(cString: strerror(errno)))" }
    if status.st_mode & S_IFMT != S_IFDIR { return "\(parent) is not a folder" }
    guard access(parent, W_OK | X_OK) == 0 else { return "\(parent): \(String(cString: strerror(errno)))" }
    return "it cannot be created in \(parent)"
  }

  private static func name(_ user: uid_t) -> String {
    Account.name(of: user)
  }

  var adminKeyFile: String { path + "/admin-key" }

  /// The path of the socket on which handlers wake the worker.
  var wakeSocket: String { socket("wake") }

  /// The path of the socket of the gateway's operations interface.
  var operationsSocket: String { socket("operations") }

  /// Returns the path of a socket in the folder, or under /tmp if that is longer than the 107 bytes of a socket's path.
  private func socket(_ name: String) -> String {
    let own = path + "/\(name).sock"
    return own.utf8.count <= 107 ? own : "/tmp/leadpipe-\(name)-\(OwnedFolder.mark(path)).sock"
  }

  /// Returns the admin key: 256 random bits, created at the first start.
  func adminKey() throws -> String { try secret(in: adminKeyFile) }

  /// Returns the secret that signs form tokens, created at the first start.
  func formTokenSecret() throws -> String { try secret(in: path + "/form-token-secret") }

  private func secret(in file: String) throws -> String {
    if let data = FileManager.default.contents(atPath: file), let text = String(data: data, encoding: .utf8) {
      let key = text.filter { !$0.isWhitespace }
      if key.count >= 32 {
        files[file] = text
        return key
      }
    }
    let key = Self.randomSecret()
    try write(key + "\n", to: file)
    return key
  }

  /// Returns 256 random bits in 64 hexadecimal digits.
  static func randomSecret() -> String {
    hexadecimal((0..<32).map { _ in UInt8.random(in: .min ... .max) })
  }

  var settingsFile: String { path + "/env" }

  /// Writes the settings of the running instance to a file that a shell can load: `. .leadpipe/env`.
  func write(settings: [String: String]) throws {
    let lines = settings.sorted { $0.key < $1.key }.map { "export \($0.key)=\(Self.quoted($0.value))\n" }
    try write(lines.joined(), to: settingsFile)
  }

  /// Reads the settings that the last run wrote, if a shell has loaded them into `environment`; otherwise a value that
  /// is equal by chance, such as EMAIL_HOST=127.0.0.1, is the operator's. Values with a single quotation mark are not
  /// restored correctly.
  func settingsLeft(loadedIn environment: [String: String]) -> [String: String] {
    let left = settingsLeft()
    // The values of these names belong to one instance.
    let marks = ["LEADPIPE_WAKE", "LEADPIPE_OPERATIONS", "LEADPIPE_CHANNELS"].filter { left[$0] != nil }
    return marks.contains { left[$0] == environment[$0] } ? left : [:]
  }

  private func settingsLeft() -> [String: String] {
    guard let data = FileManager.default.contents(atPath: settingsFile) else { return [:] }
    var left: [String: String] = [:]
    for line in String(decoding: data, as: UTF8.self).split(separator: "\n") {
      let parts = line.dropFirst("export ".count).split(separator: "=", maxSplits: 1)
      if parts.count == 2 { left[String(parts[0])] = String(parts[1].dropFirst().dropLast()) }
    }
    return left
  }

  /// Quotes any text as one word of the shell.
  private static func quoted(_ text: String) -> String {
    "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }

  /// Writes a file that only the owner can read. It is never readable by others, even while it is written.
  private func write(_ text: String, to file: String) throws {
    files[file] = text
    let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw CommandError("\(file): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    guard fchmod(descriptor, 0o600) == 0, Console.write(text, to: descriptor) else {
      throw CommandError("cannot write \(file)")
    }
  }
}

import Glibc

/// A file that appears under its name when it is whole. Until then it has a temporary name in the same folder, and is
/// deleted unless `keep` succeeds. Only its owner can read it.
final class BackupFile {
  let path: String
  let temporary: String
  private let replaces: Bool
  private var isKept = false

  /// Creates the temporary file.
  init(_ path: String, replaces: Bool) throws {
    var status = stat()
    if stat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFREG else { throw CommandError("\(path) is not a regular file") }
      guard replaces else { throw CommandError("\(path) exists; use --overwrite to replace it") }
    }
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "./"
    let name = path.split(separator: "/").last.map(String.init) ?? ""
    guard !name.isEmpty, !path.hasSuffix("/") else { throw CommandError("\(path) is not the name of a file") }
    self.path = path
    self.replaces = replaces
    temporary = "\(folder).\(name).\(getpid()).partial"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw CommandError("cannot write in the folder of \(path): \(String(cString: strerror(errno)))")
    }
    close(descriptor)
  }

  deinit { if !isKept { unlink(temporary) } }

  /// Gives the file its name, after everything is on the disk. Returns its size in bytes.
  func keep() throws -> Int {
    let descriptor = open(temporary, O_RDONLY | O_CLOEXEC)
    var status = stat()
    guard descriptor >= 0, fsync(descriptor) == 0, fstat(descriptor, &status) == 0 else { throw failure("write") }
    close(descriptor)
    if replaces {
      guard rename(temporary, path) == 0 else { throw failure("write") }
    } else if link(temporary, path) == 0 {
      // Unlike rename(2), link(2) never replaces a file that another program has made meanwhile.
      unlink(temporary)
    } else {
      // Some file systems have no links (FAT, some networks'). There the name is taken first.
      let hasNoLinks = [EPERM, EOPNOTSUPP, ENOSYS].contains(errno)
      guard hasNoLinks else { throw failure("create") }
      let taken = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
      guard taken >= 0 else { throw failure("create") }
      close(taken)
      guard rename(temporary, path) == 0 else { throw failure("write") }
    }
    isKept = true
    let folder = open(path.lastIndex(of: "/").map { String(path[...$0]) } ?? ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if folder >= 0 {
      fsync(folder)
      close(folder)
    }
    return Int(status.st_size)
  }

  private func failure(_ action: String) -> CommandError {
    CommandError("cannot \(action) \(path): \(String(cString: strerror(errno)))")
  }
}

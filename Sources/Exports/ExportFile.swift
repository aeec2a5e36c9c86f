import Glibc

/// A file that an export is written to before it is sent. It is in a folder that only this user can enter, has mode
/// 0600, and has no name from the beginning, so that nothing remains of it when the process ends in whatever way.
package final class ExportFile: @unchecked Sendable {
  // Used on the one thread of a handler.

  /// The folder for this and other temporary files of the export.
  let folder: String
  let descriptor: Int32

  /// - Parameter parent: a folder in which this user may make files, such as /var/tmp.
  package init(in parent: String) throws(ExportFailure) {
    folder = "\(parent)/leadpipe-export-\(geteuid())"
    try Self.makePrivate(folder)
    var template = Array("\(folder)/file-XXXXXX".utf8CString)
    descriptor = template.withUnsafeMutableBufferPointer { $0.baseAddress.map { mkstemp($0) } ?? -1 }
    guard descriptor >= 0 else { throw ExportFailure(errno: "a file in \(folder) cannot be made") }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    template.withUnsafeBufferPointer { if let path = $0.baseAddress { _ = unlink(path) } }
    // A file that may not grow further is an error of write(2), and not the end of the process.
    signal(SIGXFSZ, SIG_IGN)
  }

  deinit { close(descriptor) }

  /// A path that leads to the file as long as it is open.
  var path: String { "/proc/self/fd/\(descriptor)" }

  /// Reads up to `count` bytes; none at the end.
  package func read(_ count: Int, at offset: Int) throws(ExportFailure) -> [UInt8] {
    var got = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
      repeat { got = pread(descriptor, buffer.baseAddress, count, off_t(offset)) } while got < 0 && errno == EINTR
      used = max(got, 0)
    }
    guard got >= 0 else { throw ExportFailure(errno: "the file cannot be read") }
    return bytes
  }

  var size: Int {
    var status = stat()
    return fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
  }

  /// Makes the folder, or checks the one that exists: another user may have made it.
  private static func makePrivate(_ folder: String) throws(ExportFailure) {
    if mkdir(folder, 0o700) != 0, errno != EEXIST { throw ExportFailure(errno: "\(folder) cannot be made") }
    var status = stat()
    guard lstat(folder, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid(),
      status.st_mode & 0o077 == 0
    else { throw ExportFailure(reason: "\(folder) is not a folder that only this user can enter") }
  }
}

extension ExportFailure {
  /// The reason with the system's error.
  init(errno what: String) { self.init(reason: "\(what): \(String(cString: strerror(Glibc.errno)))") }
}

import Glibc

extension OfficeCalendar {
  /// The file's largest size in bytes.
  private static let limit = 1_048_576

  /// Reads the iCalendar file at an absolute path.
  package init(file path: String) throws(OfficeHoursError) { try self.init(iCalendar: Self.read(path)) }

  /// What is wrong with the path or the file, as the end of a sentence; nil if the calendar can be used.
  @Sendable package static func fault(inFile path: String) -> String? {
    guard path.hasPrefix("/") else { return "must be an absolute path" }
    do throws(OfficeHoursError) {
      _ = try OfficeCalendar(file: path)
      return nil
    } catch { return error.reason }
  }

  private static func read(_ path: String) throws(OfficeHoursError) -> String {
    // Without O_NONBLOCK, the open of a pipe would wait for its writer.
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw OfficeHoursError(reason: "cannot be read: \(String(cString: strerror(errno)))") }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw OfficeHoursError(reason: "must be a file")
    }
    guard 0...limit ~= Int(status.st_size) else { throw OfficeHoursError(reason: "is larger than 1 MiB") }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    var count = 0
    while count < bytes.count {
      let read = bytes[count...].withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
      guard read > 0 || read < 0 && errno == EINTR else { break }
      count += max(read, 0)
    }
    guard let text = String(validating: bytes[..<count], as: UTF8.self) else {
      throw OfficeHoursError(reason: "is not UTF-8")
    }
    return text
  }
}

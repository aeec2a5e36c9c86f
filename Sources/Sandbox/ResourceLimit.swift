import Glibc

/// A limit of setrlimit(2) for a handler's process. Soft and hard limit are the same, so it cannot be raised again.
package struct ResourceLimit: Sendable, Equatable {
  package let name: String
  package let value: UInt64
  private let resource: UInt32

  private init(_ name: String, _ resource: __rlimit_resource, _ value: UInt64) {
    self.name = name
    self.value = value
    self.resource = resource.rawValue
  }

  /// Returns the limits for one of our own handlers, or for a foreign one, which may start processes. `seconds` limits
  /// the CPU time of a process that takes one request, `addressSpace` is in MiB.
  ///
  /// Memory that is made unwritable after use does not count as private memory, so the address space is limited too. It
  /// must be larger, because runtimes reserve more than they use: our handlers 40 MiB, Node.js 0.7 GiB, Java 3 GiB.
  static func all(isOurs: Bool, seconds: Int?, writesFiles: Bool, addressSpace: Int?) -> [ResourceLimit] {
    var limits = [
      ResourceLimit("bytes of core dump", RLIMIT_CORE, 0),
      ResourceLimit("open files", RLIMIT_NOFILE, 256),
      ResourceLimit("bytes of private memory", RLIMIT_DATA, 512 << 20),
      ResourceLimit("bytes of address space", RLIMIT_AS, UInt64(addressSpace ?? (isOurs ? 1024 : 4096)) << 20),
    ]
    // Counts all processes and threads of the user. It does not apply to root.
    if !isOurs { limits.append(ResourceLimit("processes of the user", __RLIMIT_NPROC, 512)) }
    if let seconds { limits.append(ResourceLimit("seconds of CPU time", RLIMIT_CPU, UInt64(seconds))) }
    if !writesFiles { limits.append(fileSize) }
    return limits
  }

  private static let fileSize = ResourceLimit("bytes per written file", RLIMIT_FSIZE, 0)

  /// Lowers the limit of this process. A lower existing limit stays. The file size limit is skipped if stdout or stderr
  /// is a file, because it would apply to that file too.
  func apply() {
    if self == Self.fileSize, isFile(1) || isFile(2) { return }
    var limit = rlimit()
    let kind = __rlimit_resource_t(resource)
    guard getrlimit(kind, &limit) == 0 else { return }
    limit.rlim_max = min(limit.rlim_max, rlim_t(value))
    limit.rlim_cur = min(limit.rlim_cur, limit.rlim_max)
    setrlimit(kind, &limit)
  }

  private func isFile(_ descriptor: Int32) -> Bool {
    var status = stat()
    return fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }
}

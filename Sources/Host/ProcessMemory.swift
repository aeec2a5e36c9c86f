import CProcess
import Glibc

/// The memory of this process.
package enum ProcessMemory {
  /// The resident memory in bytes (proc(5)); 0 if it cannot be read.
  package static var resident: Int {
    let file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return 0 }
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 128)
    let count = read(file, &buffer, buffer.count)
    let words = buffer.prefix(max(count, 0)).split(separator: 0x20)
    let pages = words.count > 1 ? Int(String(decoding: words[1], as: UTF8.self)) ?? 0 : 0
    return pages * sysconf(Int32(_SC_PAGESIZE))
  }

  /// Makes the allocator take large blocks, such as a large reply, from the system and return them as soon as they are
  /// freed. Otherwise it learns from the first one to keep them.
  package static func returnLargeBlocks() { mallopt(M_MMAP_THRESHOLD, 131_072) }

  /// Returns freed memory to the system. The allocator itself returns only what lies at the end of its heap.
  package static func giveBack() { malloc_trim(0) }
}

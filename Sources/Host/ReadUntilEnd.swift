import Glibc
import Wire

/// Reads a descriptor to its end. Nil on a read error, after `milliseconds`, or for more than `limit` bytes.
package func readUntilEnd(_ descriptor: Int32, limit: Int, milliseconds: Int) -> [UInt8]? {
  let end = Instant.steady.milliseconds + milliseconds
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65_536)
  while bytes.count <= limit {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    let left = end - Instant.steady.milliseconds
    guard left > 0 else { return nil }
    let ready = poll(&entry, 1, Int32(min(left, 3_600_000)))
    if ready < 0, errno == EINTR { continue }
    guard ready > 0 else { return nil }
    let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
    if count == 0 { return bytes }
    if count > 0 { bytes += buffer[..<count] } else if errno != EINTR { return nil }
  }
  return nil
}

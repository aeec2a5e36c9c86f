import Glibc
import NIOPosix

/// A reply, parsed from its bytes without a check.
struct Answer: Sendable {
  let status: Int
  let headers: [(name: String, value: String)]
  let body: String

  init(_ text: String) {
    let parts = text.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
    let lines = parts[0].split(separator: "\r\n")
    status = lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    headers = lines.dropFirst().map { line in
      let colon = line.firstIndex(of: ":") ?? line.endIndex
      return (String(line[..<colon]), String(line[colon...].dropFirst(2)))
    }
    body = parts.count > 1 ? String(parts[1]) : ""
  }

  subscript(name: String) -> String? { headers.first { $0.name == name }?.value }
}

/// A connection that sends exactly the given bytes.
struct Client: Sendable {
  private let socket: Int32

  init(port: Int) {
    let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    self.socket = socket
    _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(UInt16(port).bigEndian)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    isConnected =
      withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket, $0, size) }
      } == 0
  }

  let isConnected: Bool

  func send(_ text: String) {
    let bytes = Array(text.utf8)
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes { Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      if count <= 0 { return }
      sent += count
    }
  }

  /// Reads until the gateway closes the connection, `text` has arrived `times` times, or no byte has arrived for 20
  /// seconds.
  func receive(until text: String? = nil, times: Int = 1) async -> String {
    let result = try? await threads.runIfActive {
      var limit = timeval(tv_sec: 20, tv_usec: 0)
      setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
      var received = ""
      while let more = readSome(socket) {
        received += more
        if let text, received.split(separator: text, omittingEmptySubsequences: false).count > times { break }
      }
      return received
    }
    return result ?? ""
  }

  func closeOutput() { shutdown(socket, Int32(SHUT_WR)) }

  func end() { close(socket) }
}

extension RunningGateway {
  /// Sends one request on its own connection, and returns the reply.
  func ask(
    _ method: String, _ path: String, _ headers: [String] = [], body: String? = nil, version: String = "1.1"
  ) async -> Answer {
    var fields = ["Host: localhost", "Connection: close"] + headers
    if let body { fields += ["Content-Length: \(body.utf8.count)", "Content-Type: application/json"] }
    let head = ["\(method) \(path) HTTP/\(version)"] + fields
    return await raw(head.joined(separator: "\r\n") + "\r\n\r\n" + (body ?? ""))
  }

  /// Sends `text` unchanged, and reads until the gateway closes the connection.
  func raw(_ text: String) async -> Answer {
    let client = Client(port: port)
    defer { client.end() }
    client.send(text)
    return Answer(await client.receive())
  }
}

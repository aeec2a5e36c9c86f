import Glibc
import Wire

/// A kept-alive TCP connection to Lambda's runtime API, without TLS. It connects when it is first used. Not
/// thread-safe.
final class RuntimeConnection {
  /// An event has at most 6 MiB.
  private static let bodyLimit = 7 << 20
  /// How long connecting, and the reply to a POST, may take, in seconds.
  private static let timeLimit = 10

  private let address: RuntimeAddress
  private var descriptor: Int32 = -1
  private var buffer = [UInt8](repeating: 0, count: 65_536)

  init(to address: RuntimeAddress) { self.address = address }

  deinit { disconnect() }

  /// Waits for the reply without a limit: the next event may arrive after days.
  func get(_ path: String) throws(RuntimeFailure) -> RuntimeReply {
    try exchange(head(of: "GET", path, []), deadline: nil)
  }

  func post(_ path: String, _ headers: [(String, String)] = [], _ body: [UInt8]) throws(RuntimeFailure) -> RuntimeReply
  {
    let head = head(of: "POST", path, headers + [("Content-Length", String(body.count))])
    return try exchange(head + body, deadline: Instant.steady.adding(seconds: Self.timeLimit))
  }

  private func head(of method: String, _ path: String, _ headers: [(String, String)]) -> [UInt8] {
    let host = ("Host", "\(address.host):\(address.port)")
    let fields = ([host] + headers).map { "\($0.0): \($0.1)\r\n" }.joined()
    return Array("\(method) /2018-06-01/runtime/\(path) HTTP/1.1\r\n\(fields)\r\n".utf8)
  }

  /// Sends a request and reads its reply. If a kept connection turns out to be closed before the first byte of a reply,
  /// the request is repeated once on a new one. The API takes one response for each invocation, so a repetition
  /// cannot add a second.
  private func exchange(_ request: [UInt8], deadline: Instant?) throws(RuntimeFailure) -> RuntimeReply {
    // An idle connection has nothing to read. If it does, the server has closed it.
    if descriptor >= 0, isReady(POLLIN, until: .steady) { disconnect() }
    let isKept = descriptor >= 0
    if !isKept { try connect() }
    if let reply = try attempt(request, deadline) { return reply }
    guard isKept else { throw RuntimeFailure("the server closed the connection without a reply") }
    try connect()
    guard let reply = try attempt(request, deadline) else {
      throw RuntimeFailure("the server closed the connection twice without a reply")
    }
    return reply
  }

  /// Returns nil, disconnected, if the connection ends before the first byte of a reply.
  private func attempt(_ request: [UInt8], _ deadline: Instant?) throws(RuntimeFailure) -> RuntimeReply? {
    guard try send(request) else { return nil }
    var reader = RuntimeReplyReader(bodyLimit: Self.bodyLimit)
    var hasBegun = false
    while true {
      // A reply that has begun arrives without a pause.
      let limit = hasBegun ? Instant.steady.adding(seconds: Self.timeLimit) : deadline
      guard isReady(POLLIN, until: limit) else { throw failed("no reply in time") }
      let count = recv(descriptor, &buffer, buffer.count, 0)
      if count < 0, errno == EINTR || errno == EAGAIN { continue }
      if count <= 0, !hasBegun {
        disconnect()
        return nil
      }
      if count < 0 { throw failed(String(cString: strerror(errno))) }
      hasBegun = true
      do throws(RuntimeFailure) {
        guard let reply = count == 0 ? try reader.end() : try reader.add(buffer[..<count]) else { continue }
        if !reply.isKeptAlive { disconnect() }
        return reply
      } catch { throw failed(error.reason) }
    }
  }

  /// Sends everything. Returns false, disconnected, if the server has closed the connection: a reply, such as 413, may
  /// still be readable, but then the server has kept the connection open for it.
  private func send(_ bytes: [UInt8]) throws(RuntimeFailure) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      guard isReady(POLLOUT, until: Instant.steady.adding(seconds: Self.timeLimit)) else {
        throw failed("the server does not read the request")
      }
      let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if errno == EPIPE || errno == ECONNRESET {
        // What the server wrote before it stopped reading is the reply.
        if isReady(POLLIN, until: .steady) { return true }
        disconnect()
        return false
      } else if errno != EINTR, errno != EAGAIN {
        throw failed(String(cString: strerror(errno)))
      }
    }
    return true
  }

  private func connect() throws(RuntimeFailure) {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_NUMERICSERV
    var list: UnsafeMutablePointer<addrinfo>?
    let error = getaddrinfo(address.host, String(address.port), &hints, &list)
    defer { if let list { freeaddrinfo(list) } }
    guard error == 0, let found = list?.pointee else {
      throw RuntimeFailure("\(address.host) has no address: \(String(cString: gai_strerror(error)))")
    }
    let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    descriptor = socket(found.ai_family, kind, 0)
    guard descriptor >= 0 else { throw failed(String(cString: strerror(errno))) }
    if Glibc.connect(descriptor, found.ai_addr, found.ai_addrlen) != 0 {
      guard errno == EINPROGRESS else { throw failed(String(cString: strerror(errno))) }
      guard isReady(POLLOUT, until: Instant.steady.adding(seconds: Self.timeLimit)) else {
        throw failed("the connection timed out")
      }
    }
    var reason: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &reason, &size) == 0, reason == 0 else {
      throw failed(String(cString: strerror(reason)))
    }
  }

  private func disconnect() {
    if descriptor >= 0 { close(descriptor) }
    descriptor = -1
  }

  private func failed(_ reason: String) -> RuntimeFailure {
    disconnect()
    return RuntimeFailure(reason)
  }

  /// Waits for `events`. Nil means without a limit.
  private func isReady(_ events: Int32, until deadline: Instant?) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    while true {
      let left = deadline.map { max($0.milliseconds - Instant.steady.milliseconds, 0) }
      let count = poll(&entry, 1, left.map { Int32(min($0, 3_600_000)) } ?? -1)
      if count > 0 { return true }
      if count == 0 || errno != EINTR { return false }
    }
  }
}

import CCurl
import Contract
import Curl
import Wire

/// The reply to a request that `WebTransfer` has sent.
package struct WebReply: Sendable {
  /// The HTTP status; 0 if there was no reply.
  package let status: Int
  /// The header lines of the reply, in their order.
  package let lines: [String]
  package let body: [UInt8]
  /// Why there was no complete reply; nil if there was one.
  package let failure: String?

  package init(status: Int = 0, lines: [String] = [], body: [UInt8] = [], failure: String?) {
    self.status = status
    self.lines = lines
    self.body = body
    self.failure = failure
  }

  /// Returns the last value of a header; nil if the reply does not have it.
  package func header(_ name: String) -> String? { headers(name).last }

  /// Returns all values of a header.
  package func headers(_ name: String) -> [String] {
    let start = name.lowercased() + ":"
    return lines.filter { $0.prefix(start.count).lowercased() == start }.map { line in
      String(line.dropFirst(start.count).drop { $0 == " " })
    }
  }

  package var text: String { String(decoding: body, as: UTF8.self) }

  /// The body as JSON; nil if it is none.
  package var document: JSON? { try? JSON(reading: text) }
}

/// Sends requests of any method, as a visitor's browser or an operator's client does. Follows no redirect. Plain http is
/// used only for this machine.
package struct WebTransfer: ~Copyable {
  private let curl: CurlHandle

  /// Throws `internalError` if libcurl cannot start.
  package init() throws(Problem) {
    guard let curl = CurlHandle() else { throw Problem.internalError("libcurl did not start") }
    self.curl = curl
  }

  /// Sends one request, and returns after `milliseconds` at the latest. Never throws: a failure is also a result. The
  /// caller must have checked `headers`, which are complete lines, because libcurl passes line feeds through.
  /// - Parameters:
  ///   - limit: how much of a body is read, in bytes.
  ///   - isEnough: ends the transfer, as a success, when the body has what is waited for.
  package func send(
    _ method: String, _ address: WebAddress, headers: [String] = [], body: JSON? = nil, milliseconds: Int = 10_000,
    limit: Int = 65_536, until isEnough: (([UInt8]) -> Bool)? = nil
  ) -> WebReply {
    let traffic = CurlTraffic(milliseconds: milliseconds, bodyLimit: limit, isEnough: isEnough)
    do throws(CurlError) {
      try perform(method, address, headers: headers, body: body, milliseconds: milliseconds, traffic)
      return reply(traffic, nil)
    } catch {
      return reply(traffic, traffic.hasEnough ? nil : CurlError.message(for: error.code))
    }
  }

  private func perform(
    _ method: String, _ address: WebAddress, headers: [String], body: JSON?, milliseconds: Int, _ traffic: CurlTraffic
  ) throws(CurlError) {
    curl.reset()
    try curl.setLimits(
      milliseconds: milliseconds, connect: 5_000, protocols: address.isLoopback ? "https,http" : "https")
    try curl.set(CURLOPT_URL, address.text)
    try curl.set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
    try curl.set(CURLOPT_USERAGENT, "leadpipe check")
    let own = body == nil ? [] : ["Content-Type: application/json", "Expect:"]
    let lines = try CurlList(own + headers)
    try curl.set(CURLOPT_HTTPHEADER, lines)
    if let body {
      let bytes = body.bytes
      try curl.set(CURLOPT_POST, 1)
      try curl.set(CURLOPT_POSTFIELDSIZE_LARGE, size: bytes.count)
      try curl.set(CURLOPT_COPYPOSTFIELDS, String(decoding: bytes, as: UTF8.self))
    }
    try curl.set(CURLOPT_CUSTOMREQUEST, method)
    try curl.perform(traffic)
  }

  private func reply(_ traffic: CurlTraffic, _ failure: String?) -> WebReply {
    WebReply(status: curl.status, lines: traffic.lines, body: traffic.body, failure: failure)
  }
}

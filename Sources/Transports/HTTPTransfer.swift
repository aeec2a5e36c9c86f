import CCurl
import Contract
import Curl
import Wire

/// The result of one HTTP request, from which its outcome is classified.
package struct HTTPResult: Sendable, Equatable {
  /// libcurl's error code (libcurl-errors(3)); 0 if a complete reply arrived.
  package var curlCode: Int
  /// The HTTP status; 0 if no reply began.
  package var status: Int
  /// The number of bytes of the body that were sent.
  package var uploaded: Int
  package var retryAfter: String?
  /// Ratelimit-Reset: seconds until the rate limit resets; only some providers send it.
  package var rateLimitReset: String?
  /// At most 64 KiB.
  package var body: [UInt8]

  package init(
    curlCode: Int = 0, status: Int = 0, uploaded: Int = 0, retryAfter: String? = nil, rateLimitReset: String? = nil,
    body: [UInt8] = []
  ) {
    self.curlCode = curlCode
    self.status = status
    self.uploaded = uploaded
    self.retryAfter = retryAfter
    self.rateLimitReset = rateLimitReset
    self.body = body
  }
}

/// Posts JSON to a provider. Each request opens its own connection: if the provider has closed a kept one, libcurl
/// sends the message again and reports a single success. TLS sessions are resumed. A connection is kept only if a
/// repeat is harmless.
package struct HTTPTransfer: ~Copyable {
  /// The time limit of a request, in milliseconds.
  package static let longest = 10_000
  private let curl: CurlHandle

  /// Throws `internalError` if libcurl cannot start.
  package init() throws(Problem) {
    guard let curl = CurlHandle() else { throw Problem.internalError("libcurl did not start") }
    self.curl = curl
  }

  /// Sends `document` once, follows no redirect, and returns before `deadline`. Plain http is used only for this
  /// machine. Never throws: a failure to send is also a result. `headers` are complete lines. The caller must have
  /// checked them, because libcurl passes line feeds through.
  package func post(
    _ document: JSON, to address: WebAddress, headers: [String] = [], isRepeatable: Bool = false, by deadline: Instant
  ) -> HTTPResult {
    let milliseconds = TimeBudget.milliseconds(until: deadline, longest: Self.longest)
    let traffic = CurlTraffic(milliseconds: milliseconds)
    do throws(CurlError) {
      try send(
        document, to: address, headers: headers, isRepeatable: isRepeatable, milliseconds: milliseconds, traffic)
      return answer(0, traffic)
    } catch {
      // The part of a long reply that matters, its status and the beginning of its body, has arrived.
      let isComplete = error == .tooLong && traffic.hasHead && curl.status >= 200
      return answer(isComplete ? 0 : error.code, traffic)
    }
  }

  private func send(
    _ document: JSON, to address: WebAddress, headers: [String], isRepeatable: Bool, milliseconds: Int,
    _ traffic: CurlTraffic
  ) throws(CurlError) {
    let body = document.bytes
    curl.reset()
    try curl.setLimits(
      milliseconds: milliseconds, connect: 5_000, protocols: address.isLoopback ? "https,http" : "https")
    try curl.set(CURLOPT_URL, address.text)
    try curl.set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
    if !isRepeatable {
      try curl.set(CURLOPT_FRESH_CONNECT, 1)
      try curl.set(CURLOPT_FORBID_REUSE, 1)
    }
    try curl.set(CURLOPT_USERAGENT, "leadpipe")
    // No `Expect: 100-continue`: it costs a second with providers that do not support it.
    let headers = try CurlList(["Content-Type: application/json; charset=utf-8", "Expect:"] + headers)
    try curl.set(CURLOPT_HTTPHEADER, headers)
    try curl.set(CURLOPT_POST, 1)
    try curl.set(CURLOPT_POSTFIELDSIZE_LARGE, size: body.count)
    try curl.set(CURLOPT_COPYPOSTFIELDS, String(decoding: body, as: UTF8.self))
    try curl.perform(traffic)
  }

  private func answer(_ code: Int, _ traffic: CurlTraffic) -> HTTPResult {
    func header(_ name: String) -> String? {
      let line = traffic.lines.last { $0.prefix(name.count).lowercased() == name }
      return line.map { String($0.dropFirst(name.count)) }
    }
    return HTTPResult(
      curlCode: code, status: curl.status, uploaded: curl.uploaded,
      retryAfter: header("retry-after:"), rateLimitReset: header("ratelimit-reset:"), body: traffic.body)
  }
}

/// The time limit of a transfer.
enum TimeBudget {
  /// Milliseconds before the deadline that are reserved for recording the outcome.
  private static let reserve = 200

  /// Returns the time limit in milliseconds: at least 1, because libcurl treats 0 as no limit.
  static func milliseconds(until deadline: Instant, longest: Int) -> Int {
    max(1, min(longest, deadline.milliseconds - Instant.steady.milliseconds - reserve))
  }
}

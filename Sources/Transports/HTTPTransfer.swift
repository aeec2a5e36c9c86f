import CCurl
import Contract
import Wire

/// What came of one HTTP request: all that the classification of an outcome looks at.
package struct HTTPAnswer: Sendable, Equatable {
  /// libcurl's code (libcurl-errors(3)); 0 where a whole reply came.
  package var curlCode: Int
  /// The HTTP status; 0 where no reply began.
  package var status: Int
  /// Bytes of the body that have left this machine.
  package var uploaded: Int
  package var retryAfter: String?
  /// Ratelimit-Reset: seconds until there is room again, as some providers say it.
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

/// Posts JSON to a provider. Each request has a connection of its own: on one that the provider has closed meanwhile
/// libcurl would send the same message again and tell of one success. TLS sessions are resumed. Only where
/// a repeat is harmless is a connection kept.
package struct HTTPTransfer: ~Copyable {
  /// No request takes longer, in milliseconds.
  package static let longest = 10_000
  private let curl: CurlHandle

  /// Fails with `internalError` when libcurl cannot start.
  package init() throws(Problem) {
    guard let curl = CurlHandle() else { throw Problem.internalError("libcurl did not start") }
    self.curl = curl
  }

  /// Sends `document` once, follows no redirect, and answers before `deadline`. Plain http is spoken with this machine
  /// only. It never throws: that nothing was sent is an answer too.
  /// `headers` are whole lines, checked before: libcurl passes line feeds through.
  package func post(
    _ document: JSON, to address: WebAddress, headers: [String] = [], isRepeatable: Bool = false, by deadline: Instant
  ) -> HTTPAnswer {
    let milliseconds = TimeBudget.milliseconds(until: deadline, longest: Self.longest)
    let traffic = CurlTraffic(milliseconds: milliseconds)
    do throws(CurlFault) {
      try send(
        document, to: address, headers: headers, isRepeatable: isRepeatable, milliseconds: milliseconds, traffic)
      return answer(0, traffic)
    } catch {
      return answer(error.code, traffic)
    }
  }

  private func send(
    _ document: JSON, to address: WebAddress, headers: [String], isRepeatable: Bool, milliseconds: Int,
    _ traffic: CurlTraffic
  ) throws(CurlFault) {
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
    // No `Expect: 100-continue`: it would cost a second where a provider does not know it.
    let headers = try CurlList(["Content-Type: application/json; charset=utf-8", "Expect:"] + headers)
    try curl.set(CURLOPT_HTTPHEADER, headers)
    try curl.set(CURLOPT_POST, 1)
    try curl.set(CURLOPT_POSTFIELDSIZE_LARGE, size: body.count)
    try curl.set(CURLOPT_COPYPOSTFIELDS, String(decoding: body, as: UTF8.self))
    try curl.perform(traffic)
  }

  private func answer(_ code: Int, _ traffic: CurlTraffic) -> HTTPAnswer {
    func header(_ name: String) -> String? {
      let line = traffic.lines.last { $0.prefix(name.count).lowercased() == name }
      return line.map { String($0.dropFirst(name.count)) }
    }
    return HTTPAnswer(
      curlCode: code, status: curl.status, uploaded: curl.uploaded,
      retryAfter: header("retry-after:"), rateLimitReset: header("ratelimit-reset:"), body: traffic.body)
  }
}

/// How long a transfer may take.
enum TimeBudget {
  /// Kept back of the time that is left, in milliseconds, to write the outcome down.
  private static let reserve = 200

  /// At least one, for 0 would mean no limit to libcurl.
  static func milliseconds(until deadline: Instant, longest: Int) -> Int {
    max(1, min(longest, deadline.milliseconds - Instant.now.milliseconds - reserve))
  }
}

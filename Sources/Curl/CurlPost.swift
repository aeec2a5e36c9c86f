import CCurl

extension CurlHandle {
  /// Posts `traffic`'s data, of `count` bytes, and keeps the connection for the next request.
  ///
  /// The data is sent at most once. If the peer has closed a kept connection, libcurl would send the request again; but
  /// it must not go back in data that a callback has delivered, so it only does that while none of it has been sent.
  /// Otherwise the transfer fails, and the caller decides about a repeat.
  /// - Parameters:
  ///   - headers: complete lines. The caller must have checked them, because libcurl passes line feeds through.
  ///   - allowsPlain: true for http too, without TLS.
  ///   - isFresh: true to open a new connection.
  package func post(
    _ traffic: CurlTraffic, of count: Int, to url: String, headers: [String], allowsPlain: Bool, isFresh: Bool,
    milliseconds: Int
  ) throws(CurlError) {
    reset()
    try setLimits(milliseconds: milliseconds, connect: 5_000, protocols: allowsPlain ? "https,http" : "https")
    try set(CURLOPT_URL, url)
    try set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
    try set(CURLOPT_USERAGENT, "leadpipe")
    if isFresh { try set(CURLOPT_FRESH_CONNECT, 1) }
    // No `Expect: 100-continue`: it costs a second with servers that do not support it.
    let lines = try CurlList(["Expect:"] + headers)
    try set(CURLOPT_HTTPHEADER, lines)
    try set(CURLOPT_POST, 1)
    try set(CURLOPT_POSTFIELDSIZE_LARGE, size: count)
    try perform(traffic)
  }
}

import CCurl
import Glibc

/// A libcurl error, by its code (libcurl-errors(3)).
package struct CurlError: Error, Equatable {
  package let code: Int

  /// The server sent more than `CurlTraffic` accepts. libcurl itself never reports this code, because it gets no such
  /// limit.
  package static let tooLong = CurlError(code: Int(CURLE_FILESIZE_EXCEEDED.rawValue))

  /// The time limit has passed: libcurl's own, or that of `CurlTraffic`.
  package static let timedOut = CurlError(code: Int(CURLE_OPERATION_TIMEDOUT.rawValue))
  package static let aborted = CurlError(code: Int(CURLE_ABORTED_BY_CALLBACK.rawValue))

  /// Returns libcurl's message for a code, or ours for `tooLong`. The messages are constant and contain no address or
  /// secret.
  package static func message(for code: Int) -> String {
    if code == tooLong.code { return "more than \(CurlTraffic.totalLimit / 1024) KiB were received" }
    return String(cString: curl_easy_strerror(CURLcode(rawValue: UInt32(truncatingIfNeeded: code))))
  }
}

/// The owner of a CURL easy handle. Every option is set through `set`, which throws if libcurl rejects it.
package struct CurlHandle: ~Copyable {
  private let raw: UnsafeMutableRawPointer

  /// Nil if libcurl cannot start.
  package init?() {
    guard let raw = curl_easy_init() else { return nil }
    self.raw = raw
  }

  /// Closes at once. By default libcurl sends QUIT to a mail server and waits two minutes for the reply, while the
  /// outcome of the message waits to be recorded.
  deinit {
    hangUp()
    curl_easy_cleanup(raw)
  }

  /// Ends the connection of the last transfer, if it is still open. The next transfer opens another.
  package func hangUp() {
    let socket = leadpipe_curl_get_socket(raw)
    if socket >= 0 { shutdown(socket, Int32(SHUT_RDWR)) }
  }

  /// Resets all options. Keeps open connections, TLS sessions and resolved names.
  package func reset() { curl_easy_reset(raw) }

  package func set(_ option: CURLoption, _ value: Int) throws(CurlError) {
    try check(leadpipe_curl_set_long(raw, option, value))
  }

  package func set(_ option: CURLoption, size: Int) throws(CurlError) {
    try check(leadpipe_curl_set_size(raw, option, curl_off_t(size)))
  }

  package func set(_ option: CURLoption, _ value: String) throws(CurlError) {
    try check(leadpipe_curl_set_text(raw, option, value))
  }

  package func set(_ option: CURLoption, _ list: borrowing CurlList) throws(CurlError) {
    try check(leadpipe_curl_set_list(raw, option, list.first))
  }

  /// The certificates of the authorities that peers are verified against, where this system does not have them at the
  /// path that Debian's libcurl reads: Amazon Linux and Fedora, Alpine. Nil if libcurl finds them itself.
  private static let certificates: String? =
    access("/etc/ssl/certs/ca-certificates.crt", R_OK) == 0
    ? nil : ["/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"].first { access($0, R_OK) == 0 }

  /// Sets the limits of every transfer: time limit, no proxy from the environment, no signals, no redirects, only these
  /// protocols, and peers verified against the system's certificates.
  ///
  /// `connect` limits the time until the peer is ready; for SMTP, this includes the login.
  package func setLimits(milliseconds: Int, connect: Int, protocols: String) throws(CurlError) {
    try set(CURLOPT_NOSIGNAL, 1)
    try set(CURLOPT_TIMEOUT_MS, milliseconds)
    try set(CURLOPT_CONNECTTIMEOUT_MS, min(milliseconds, connect))
    try set(CURLOPT_PROXY, "")
    try set(CURLOPT_PROTOCOLS_STR, protocols)
    try set(CURLOPT_FOLLOWLOCATION, 0)
    try set(CURLOPT_SSL_VERIFYPEER, 1)
    try set(CURLOPT_SSL_VERIFYHOST, 2)
    if let certificates = Self.certificates { try set(CURLOPT_CAINFO, certificates) }
  }

  /// Runs the transfer, with `traffic` as the source and destination of its data. Throws `tooLong` if the server sent
  /// more than `traffic` accepts.
  package func perform(_ traffic: CurlTraffic) throws(CurlError) {
    let context = Unmanaged.passUnretained(traffic).toOpaque()
    try check(leadpipe_curl_set_callback(raw, CURLOPT_WRITEFUNCTION, receiveBody))
    try check(leadpipe_curl_set_pointer(raw, CURLOPT_WRITEDATA, context))
    try check(leadpipe_curl_set_callback(raw, CURLOPT_HEADERFUNCTION, receiveLine))
    try check(leadpipe_curl_set_pointer(raw, CURLOPT_HEADERDATA, context))
    try check(leadpipe_curl_set_callback(raw, CURLOPT_READFUNCTION, sendBody))
    try check(leadpipe_curl_set_pointer(raw, CURLOPT_READDATA, context))
    try check(leadpipe_curl_set_progress(raw, isOverdue))
    try check(leadpipe_curl_set_pointer(raw, CURLOPT_XFERINFODATA, context))
    try set(CURLOPT_NOPROGRESS, 0)
    let code = withExtendedLifetime(traffic) { curl_easy_perform(raw) }
    if traffic.isCut && code != CURLE_OK { throw .tooLong }
    try check(code)
  }

  /// The HTTP or SMTP status of the last reply; 0 if none arrived.
  package var status: Int { leadpipe_curl_get_long(raw, CURLINFO_RESPONSE_CODE) }

  /// The number of bytes of the message that were sent.
  package var uploaded: Int { Int(leadpipe_curl_get_size(raw, CURLINFO_SIZE_UPLOAD_T)) }

  private func check(_ code: CURLcode) throws(CurlError) {
    if code != CURLE_OK { throw CurlError(code: Int(code.rawValue)) }
  }
}

/// The owner of a list of lines that libcurl reads during a transfer.
package struct CurlList: ~Copyable {
  fileprivate var first: UnsafeMutablePointer<curl_slist>?

  package init(_ lines: [String]) throws(CurlError) {
    for line in lines {
      guard let list = curl_slist_append(first, line) else {
        throw CurlError(code: Int(CURLE_OUT_OF_MEMORY.rawValue))
      }
      first = list
    }
  }

  deinit { curl_slist_free_all(first) }
}

import CCurl
import Contract
import Curl
import Wire

/// The result of sending one email over SMTP, from which its outcome is classified.
package struct SMTPResult: Sendable, Equatable {
  /// libcurl's error code. It is not specific: a refused recipient and a broken connection have the same code.
  package var curlCode: Int
  /// The server's last reply code; 354 means that the message was being sent.
  package var status: Int
  /// The last 64 reply lines of the server.
  package var lines: [String]

  package init(curlCode: Int = 0, status: Int = 0, lines: [String] = []) {
    self.curlCode = curlCode
    self.status = status
    self.lines = lines
  }
}

/// The mail server that sends the emails.
package struct MailServer: Sendable, Equatable {
  package let host: String
  package let port: Int
  /// The user and password; nil sends without login.
  package let login: Login?

  package struct Login: Sendable, Equatable {
    package let user: String
    package let password: String

    package init(user: String, password: String) {
      self.user = user
      self.password = password
    }
  }

  package init(host: String, port: Int, login: Login?) {
    self.host = host
    self.port = port
    self.login = login
  }

  /// True if TLS begins with the first byte (RFC 8314). On every other port the connection begins without TLS and the
  /// server must offer STARTTLS.
  package var isImplicitTLS: Bool { port == 465 }
  /// True if the server is on this machine. TLS is then optional and certificates are not verified.
  package var isLoopback: Bool { WebAddress.isLoopback(host.lowercased()) }
}

/// Sends emails to a server over SMTP (RFC 5321), with one recipient each: with several, a refused recipient could be
/// hidden by another's success. The connection stays open for the next email, unless this one failed.
package struct SMTPTransfer: ~Copyable {
  /// The time limit of an email, in milliseconds.
  package static let longest = 10_000
  private let curl: CurlHandle

  /// Throws `internalError` if libcurl cannot start.
  package init() throws(Problem) {
    guard let curl = CurlHandle() else { throw Problem.internalError("libcurl did not start") }
    self.curl = curl
  }

  /// Sends `message` (RFC 5322 with CR LF; dots are stuffed here) from one address to another. `hello` is this
  /// machine's name in EHLO. The caller must have checked the addresses with `Mailbox`, because libcurl passes line
  /// feeds through.
  package func send(
    _ message: [UInt8], from: String, to: String, hello: String, server: MailServer, by deadline: Instant
  ) -> SMTPResult {
    // One second is reserved: libcurl checks only once a second whether its wait for the reply to QUIT is over.
    let milliseconds = max(1, TimeBudget.milliseconds(until: deadline, longest: Self.longest) - 1000)
    let traffic = CurlTraffic(sending: message, milliseconds: milliseconds)
    do throws(CurlError) {
      try prepare(server, hello: hello, milliseconds: milliseconds)
      try curl.set(CURLOPT_MAIL_FROM, "<\(from)>")
      let recipients = try CurlList(["<\(to)>"])
      try curl.set(CURLOPT_MAIL_RCPT, recipients)
      try curl.set(CURLOPT_UPLOAD, 1)
      try curl.set(CURLOPT_INFILESIZE_LARGE, size: message.count)
      try curl.perform(traffic)
      return SMTPResult(curlCode: 0, status: curl.status, lines: traffic.lines)
    } catch {
      // libcurl forgets the code of the last reply when the next one has begun.
      let status = curl.status > 0 ? curl.status : traffic.replyCode
      let answer = SMTPResult(curlCode: error.code, status: status, lines: traffic.lines)
      // libcurl keeps a connection on which the server did not reply in time to the end of a message. A late reply
      // would be taken for the reply to the next message.
      curl.hangUp()
      return answer
    }
  }

  private func prepare(_ server: MailServer, hello: String, milliseconds: Int) throws(CurlError) {
    let scheme = server.isImplicitTLS ? "smtps" : "smtp"
    let host = server.host.utf8.contains(UInt8(ascii: ":")) ? "[\(server.host)]" : server.host
    curl.reset()
    try curl.setLimits(milliseconds: milliseconds, connect: Self.longest, protocols: scheme)
    try curl.set(CURLOPT_URL, "\(scheme)://\(host):\(server.port)/\(hello)")
    if !server.isImplicitTLS {
      let level = server.isLoopback ? CURLUSESSL_TRY : CURLUSESSL_ALL
      try curl.set(CURLOPT_USE_SSL, Int(level.rawValue))
      if server.isLoopback {
        try curl.set(CURLOPT_SSL_VERIFYPEER, 0)
        try curl.set(CURLOPT_SSL_VERIFYHOST, 0)
      }
    }
    if let login = server.login {
      try curl.set(CURLOPT_USERNAME, login.user)
      try curl.set(CURLOPT_PASSWORD, login.password)
    }
  }
}

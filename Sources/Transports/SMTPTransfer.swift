import CCurl
import Contract
import Wire

/// What came of one mail: all that the classification of an outcome looks at.
package struct SMTPAnswer: Sendable, Equatable {
  /// libcurl's code; says little, for a refused recipient and a broken connection share theirs.
  package var curlCode: Int
  /// The last reply code of the server; 354 means that the mail was on its way.
  package var status: Int
  /// The server's reply lines, the last 64.
  package var lines: [String]

  package init(curlCode: Int = 0, status: Int = 0, lines: [String] = []) {
    self.curlCode = curlCode
    self.status = status
    self.lines = lines
  }
}

/// The mail server that we hand mails to.
package struct MailServer: Sendable, Equatable {
  package let host: String
  package let port: Int
  /// User and password; nil sends without login.
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

  /// TLS from the first byte (RFC 8314); every other port begins in the clear and must offer STARTTLS.
  package var isImplicitTLS: Bool { port == 465 }
  /// Nothing leaves this machine, so TLS is taken where it is offered and nobody's certificate is asked for.
  package var isLoopback: Bool { WebAddress.isLoopback(host.lowercased()) }
}

/// Hands mails to a server over SMTP (RFC 5321), one recipient at a time: a second one could be lost behind the first
/// one's success. The connection stays open for the next mail, unless this one failed.
package struct SMTPTransfer: ~Copyable {
  /// No mail takes longer, in milliseconds.
  package static let longest = 10_000
  private let curl: CurlHandle

  /// Fails with `internalError` when libcurl cannot start.
  package init() throws(Problem) {
    guard let curl = CurlHandle() else { throw Problem.internalError("libcurl did not start") }
    self.curl = curl
  }

  /// Sends `message` (RFC 5322 with CR LF; dots are stuffed here) from one address to one other. `hello` is the name
  /// this machine greets with. Addresses have been checked by `Mailbox`: libcurl passes line feeds through.
  package func send(
    _ message: [UInt8], from: String, to: String, hello: String, server: MailServer, by deadline: Instant
  ) -> SMTPAnswer {
    // A second is kept back: libcurl looks once a second whether its wait for the answer to QUIT is over.
    let milliseconds = max(1, TimeBudget.milliseconds(until: deadline, longest: Self.longest) - 1000)
    let traffic = CurlTraffic(sending: message, milliseconds: milliseconds)
    do throws(CurlFault) {
      try prepare(server, hello: hello, milliseconds: milliseconds)
      try curl.set(CURLOPT_MAIL_FROM, "<\(from)>")
      let recipients = try CurlList(["<\(to)>"])
      try curl.set(CURLOPT_MAIL_RCPT, recipients)
      try curl.set(CURLOPT_UPLOAD, 1)
      try curl.set(CURLOPT_INFILESIZE_LARGE, size: message.count)
      try curl.perform(traffic)
      return SMTPAnswer(curlCode: 0, status: curl.status, lines: traffic.lines)
    } catch {
      let answer = SMTPAnswer(curlCode: error.code, status: curl.status, lines: traffic.lines)
      // libcurl keeps a connection on which the end of a mail was not answered in time. A late answer to that mail would
      // be taken for the answer to the next one.
      curl.hangUp()
      return answer
    }
  }

  private func prepare(_ server: MailServer, hello: String, milliseconds: Int) throws(CurlFault) {
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

import Wire

extension SMTPSession {
  static let stages: [String: SinkFault.Stage] = [
    "EHLO": .hello, "HELO": .hello, "AUTH": .auth, "MAIL": .mail, "RCPT": .rcpt, "DATA": .data,
  ]

  /// The stages that are over when a kept connection begins its next email. Faults of these stages then occur at MAIL.
  private static let early: [SinkFault.Stage] = [.greeting, .hello, .auth]

  mutating func draw() {
    fault = book.next(.email)
    isDrawn = true
  }

  /// Returns the actions of the current fault at this stage, and whether the command is then not executed. `rest` is
  /// the command's argument, `mail` the received email.
  mutating func fail(
    at stage: SinkFault.Stage, _ rest: String = "", of mail: ReceivedMail? = nil
  ) -> (actions: [Action], stops: Bool) {
    guard let fault, fault.stage == stage || (stage == .mail && Self.early.contains(fault.stage)) else {
      return ([], false)
    }
    // At EHLO a TLS fault only offers STARTTLS. It occurs at STARTTLS, or at MAIL if the client continues without TLS
    // or was greeted before.
    if fault.way == .tls, stage == .hello { return ([], false) }
    // A client that is refused at EHLO tries HELO, which is then refused too.
    if stage != .hello { endFault() }
    let kept = fault.isTaken ? mail.map { [Action.keep($0, fault.kind)] } ?? [] : []
    switch fault.way {
    case .slow: return ([.failed(fault.kind), .wait(milliseconds: fault.milliseconds ?? 0)], false)
    case .greylist:
      let id = mail.map { MailReader($0.content).header("message-id") ?? "" } ?? rest
      guard book.turnsAway("\(sender ?? "") \(recipients) \(id)") else { return ([], false) }
      return ([.failed(fault.kind), .send("451 4.7.1 Greylisted, please try again later\r\n")], true)
    case .tls: return ([.failed(fault.kind), .send("454 4.7.0 TLS not available\r\n")], true)
    case .refuse, .garble, .cut:
      let said = fault.said ?? "451 4.3.0 Try again later"
      let isLast = stage == .greeting || said.hasPrefix("421")
      if isLast { isClosed = true }
      return ([.failed(fault.kind), .send(said + "\r\n")] + (isLast ? [.close] : []), true)
    case .hang:
      isClosed = true
      return (kept + [.failed(fault.kind)], true)
    case .drop, .reset:
      isClosed = true
      return (kept + [.failed(fault.kind), fault.way == .drop ? .close : .reset], true)
    }
  }

  /// Handles STARTTLS, which is supported only for a TLS fault.
  mutating func startTLS() -> [Action] {
    guard let fault, fault.way == .tls else { return [.send("500 5.5.2 Command unknown\r\n")] }
    endFault()
    isShakingHands = true
    return [.failed(fault.kind), .send("220 2.0.0 Ready to start TLS\r\n")]
  }

  private mutating func endFault() {
    fault = nil
    isDrawn = false
  }
}

import Wire

/// A request with its reply, and how both are written.
struct AnsweredRequest {
  let request: Request
  let reply: Reply
  let exitStatus: Int32

  init(request: Request, reply: Reply) {
    self.request = request
    self.reply = reply
    exitStatus = ExitStatus.of(status: reply.status)
  }

  init(request: Request, problem: Problem) {
    self.request = request
    // Which setting is wrong is for the operator: who asks through a gateway may be a stranger, and the log has it.
    let isPrivate = problem.kind == .misconfigured && !request.isBare
    let told = isPrivate ? Problem(.serviceNotConfigured) : problem
    reply = told.reply(requestID: request.requestID)
    exitStatus = problem.kind == .misconfigured ? ExitStatus.misconfigured : ExitStatus.of(status: problem.kind.status)
  }

  /// What is refused before it is a request.
  init(refusing problem: Problem) {
    var request = Request(method: "", path: "", requestID: UUIDText.random().text, receivedAt: .now)
    request.isBare = true
    self.init(request: request, problem: problem)
  }

  /// The bytes that go out, ended by a line feed: the envelope, or for a bare request the body alone, a failure as
  /// `{"problem": …}`. A body of several lines goes out as these lines; an empty one as nothing.
  var output: [UInt8] {
    guard request.isBare else { return reply.envelope.bytes + [0x0A] }
    return bareOutput
  }

  /// The same in a stream: an envelope says which request it answers.
  var line: [UInt8] {
    guard !request.isBare else { return bareOutput }
    var reply = reply
    reply.requestID = request.requestID
    return reply.envelope.bytes + [0x0A]
  }

  private var bareOutput: [UInt8] {
    if reply.status >= 400 {
      return Array(#"{"problem":"#.utf8) + reply.body + Array("}\n".utf8)
    }
    return reply.body.isEmpty || reply.body.last == 0x0A ? reply.body : reply.body + [0x0A]
  }
}

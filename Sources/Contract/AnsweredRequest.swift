import Forms
import Wire

/// A request with its reply, and the output format of both.
struct AnsweredRequest {
  let request: Request
  let reply: Reply
  let exitStatus: Int32
  /// The problem that the reply shows; nil if the request was answered.
  let problem: Problem?

  init(request: Request, reply: Reply) {
    self.request = request
    self.reply = reply
    problem = nil
    exitStatus = ExitStatus.of(status: reply.status)
  }

  init(request: Request, problem: Problem) {
    self.request = request
    // Only the operator may see which setting is wrong. A request through a gateway can come from anyone, so its reply
    // is general; the log has the details.
    let isPrivate = problem.kind == .misconfigured && !request.isBare
    let shown = isPrivate ? Problem(.serviceNotConfigured) : problem
    self.problem = shown
    reply = shown.reply(requestID: request.requestID)
    exitStatus = problem.kind == .misconfigured ? ExitStatus.misconfigured : ExitStatus.of(status: problem.kind.status)
  }

  /// A reply to input that could not be read as a request.
  init(refusing problem: Problem) {
    var request = Request(method: "", path: "", requestID: UUIDText.ordered().text, receivedAt: .now)
    request.isBare = true
    self.init(request: request, problem: problem)
  }

  /// The output, terminated by a line feed: the envelope, or, for a bare request, the body alone. The reply to a failed
  /// bare request is `{"problem": …}`. A body of several lines is written as it is; an empty body writes nothing.
  var output: [UInt8] {
    // The body of a bare request that follows is the whole output.
    if request.isBare, reply.bodyFollows { return [] }
    guard request.isBare else { return reply.envelope.bytes + [0x0A] }
    return bareOutput
  }

  /// Why the request was refused with 4xx, as text for the log; nil for every other reply.
  var refusal: String? {
    guard let problem, 400..<500 ~= reply.status else { return nil }
    return problem.fields.isEmpty ? problem.detail : problem.fields.map(\.message).joined(separator: "; ")
  }

  /// The output in a stream, where an envelope includes the id of the request that it answers. The problem of a bare
  /// request includes the number of its line.
  func line(_ number: Int) -> [UInt8] {
    guard !request.isBare else {
      guard let problem else { return bareOutput }
      let document = problem.document(requestID: request.requestID).setting("line", JSON(number))
      return JSON.object([.init("problem", document)]).bytes + [0x0A]
    }
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

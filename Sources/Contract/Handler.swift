import CProcess
import Glibc
import Sandbox
import Wire

/// A handler: what it is, and the function that answers. The same binary serves every door.
package struct Handler: Sendable {
  /// Answers one request; the thrown problem becomes its reply.
  package typealias Answer = (Request, Log) throws(Problem) -> Reply

  /// Answers requests that came together, each by itself, in their order.
  package typealias BatchAnswer = ([Request], Log) -> [Result<Reply, Problem>]

  package let description: Description
  /// How many requests of a stream that are waiting are answered together.
  let batchSize: Int
  /// Called once a process, after the settings are checked: opens what all its requests share.
  let open: @Sendable (Settings, Afterwards) throws(Problem) -> BatchAnswer

  /// A handler that answers its requests one by one.
  package init(_ description: Description, open: @escaping @Sendable (Settings) throws(Problem) -> Answer) {
    self.init(description) { settings, _ throws(Problem) in try open(settings) }
  }

  /// The same for one that has something to do after its replies.
  package init(_ description: Description, open: @escaping @Sendable (Settings, Afterwards) throws(Problem) -> Answer) {
    self.init(description, batchSize: 1) { settings, afterwards throws(Problem) in
      let answer = try open(settings, afterwards)
      return { requests, log in
        requests.map { request in
          Result { () throws(Problem) in try answer(request, log.with("requestId", request.requestID)) }
        }
      }
    }
  }

  /// A handler that does the work of up to `batchSize` requests together, where so many are waiting in a stream.
  package init(
    _ description: Description, batchSize: Int,
    open: @escaping @Sendable (Settings, Afterwards) throws(Problem) -> BatchAnswer
  ) {
    var description = description
    description.environment += [.logLevel, .logFormat]
    self.description = description
    self.batchSize = batchSize
    self.open = open
  }

  /// Serves through the door that the flag or the environment names, and ends the process with the exit status of the
  /// contract. Rights are given up before anything from outside is read.
  package func run() -> Never {
    let environment = processEnvironment()
    let door = Door(arguments: CommandLine.arguments, environment: environment)
    let log = Log(environment)
    confine(environment, door, log)
    switch door {
    case .describe:
      exit(StandardOutput.write(description.document.bytes + [0x0A]) ? 0 : ExitStatus.unwritable)
    case .pipe: exit(PipeDoor(handler: self, environment: environment, log: log).serve())
    case .stream: exit(StreamDoor(handler: self, environment: environment, log: log).serve())
    case .closed(let reason):
      log.error(reason)
      _ = StandardOutput.write(
        Problem(.notAvailable, reason).reply(requestID: UUIDText.random().text).envelope.bytes + [0x0A])
      exit(ExitStatus.of(status: 501))
    }
  }

  /// Gives up what this process does not need, before it reads anything from outside; and a broken pipe is an error instead of
  /// an end. Who is not dumpable leaves no core with customers in it and can be traced by nobody.
  private func confine(_ environment: [String: String], _ door: Door, _ log: Log) {
    _ = leadpipe_not_dumpable()
    if environment["LEADPIPE_SUPERVISED"] != nil { _ = leadpipe_parent_death_signal(SIGTERM) }
    signal(SIGPIPE, SIG_IGN)
    let confinement = Confinement(
      .ours, reach: Reach(description.destinations, environment),
      seconds: door == .stream ? nil : description.processorSeconds)
    if let refusal = confinement.apply() { log.warn("Confinement is incomplete", ["reason": refusal]) }
  }
}

/// How a request reaches this process.
enum Door: Equatable {
  case pipe, stream, describe
  /// A door that this version does not have, or arguments that no door has.
  case closed(String)

  init(arguments: [String], environment: [String: String]) {
    switch Array(arguments.dropFirst()) {
    case ["--describe"]: self = .describe
    case ["--stream"]: self = .stream
    case [] where environment["GATEWAY_INTERFACE"] != nil: self = .closed("the CGI door is not part of this version")
    case [] where environment["AWS_LAMBDA_RUNTIME_API"] != nil:
      self = .closed("the Lambda door is not part of this version")
    case []: self = .pipe
    default: self = .closed("usage: one JSON request on stdin; --stream for one a line; --describe")
    }
  }
}

extension Handler {
  /// Checks the settings and opens what requests share. A fault of the settings is told once in the log, and becomes the
  /// answer to every request.
  func opened(
    _ environment: [String: String], afterwards: Afterwards, log: Log
  ) -> Result<BatchAnswer, Problem> {
    do throws(Problem) {
      return .success(try open(try Settings(description.environment, from: environment), afterwards))
    } catch {
      log.error(error.detail)
      return .failure(error)
    }
  }

  /// Answers documents that came together: envelopes, or bare bodies where they have no `requestContext`.
  func answer(_ documents: [[UInt8]], by answer: Result<BatchAnswer, Problem>, log: Log) -> [AnsweredRequest] {
    var requests: [Request] = []
    var problems: [Problem?] = []
    for bytes in documents {
      let (request, problem) = read(bytes)
      requests.append(request)
      problems.append(problem)
    }
    let good = requests.indices.filter { problems[$0] == nil }
    var replies: [Result<Reply, Problem>] = []
    switch answer {
    case .success(let answer): replies = good.isEmpty ? [] : answer(good.map { requests[$0] }, log)
    case .failure(let problem): problems = problems.map { _ in problem }
    }
    var next = replies.makeIterator()
    return zip(requests, problems).map { request, problem in
      if let problem { return AnsweredRequest(request: request, problem: problem) }
      switch next.next() {
      case .success(let reply): return AnsweredRequest(request: request, reply: reply)
      case .failure(let problem): return AnsweredRequest(request: request, problem: problem)
      case nil: return AnsweredRequest(request: request, problem: Problem(.internalError, "no answer was made"))
      }
    }
  }

  /// The request that a document holds, or why it holds none that can be answered.
  private func read(_ bytes: [UInt8]) -> (Request, Problem?) {
    let route = description.routes.first ?? Description.Route("POST", "/" + description.name)
    var request = Request(method: route.method, path: route.path, requestID: UUIDText.random().text, receivedAt: .now)
    request.isBare = true
    request.body = bytes
    do throws(Problem) {
      let json: JSON
      do { json = try JSON(reading: bytes) } catch {
        throw Problem(.badInput, "the document is no valid JSON: \(error.reason) (byte \(error.offset))")
      }
      if json["requestContext"] != nil {
        request.isBare = false
        request = try Request(envelope: json)
      } else {
        request.document = json
      }
      guard request.body.count <= description.bodyLimit else {
        throw Problem(.tooLarge, "the body is larger than \(description.bodyLimit) bytes")
      }
      let own = Instant(milliseconds: Instant.now.milliseconds + description.timeLimitMs)
      request.deadline = request.deadline.map { min($0, own) } ?? own
      guard request.deadline.map({ $0 > .now }) == true else { throw Problem(.tooSlow, "the deadline has passed") }
    } catch { return (request, error) }
    return (request, nil)
  }
}

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
    let told = isPrivate ? Problem(.misconfigured, "the service is not set up; its log says why") : problem
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

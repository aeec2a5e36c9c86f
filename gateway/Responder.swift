import Handler
import Host
import NIOCore
import Wire

/// A reply, and what the access log says of how it came about.
struct Answer: Sendable {
  var reply: Reply
  var facts: [(key: String, value: String)] = []
  /// Where it is another limit than that of the request's class which has refused it.
  var quota: Quota?
}

/// What turns a complete request into a reply; `receive` turns a head into a request.
struct Responder: Sendable {
  /// No body is larger than this, whatever a description says.
  static let bodyLimit = 262_144
  /// Headers of a reply that are the gateway's alone: no handler may open a reply to another origin, or invent a limit.
  private static let ownHeaders = ["access-control-", "ratelimit", "x-ratelimit-"]

  let routes: RouteTable<Endpoint>
  let clients: Clients
  let crossOrigin: CrossOrigin
  let log: Log

  static func tooLarge(_ limit: Int) -> Problem { Problem(.tooLarge, "the body is larger than \(limit) bytes") }

  /// Answers a complete request by a handler process. Every 502, 503 and 504 is explained by one log line.
  func answer(_ call: Call, on loop: any EventLoop) -> EventLoopFuture<Answer> {
    call.endpoint.processes.run(call, on: loop).map { result in answer(call, result) }
  }

  private func answer(_ call: Call, _ result: HandlerResult) -> Answer {
    let description = call.endpoint.handler.description
    let log = log.with("requestId", call.request.requestID).with("handler", description.name)
    if result.errorsWereCut { log.warn("A handler's log was cut at 64 KiB") }
    let facts = [("queueMs", result.queueMs), ("startMs", result.startMs), ("runMs", result.runMs)]
    var answer = Answer(
      reply: reply(result, requestID: call.request.requestID, log: log),
      facts: facts.map { (key: $0.0, value: String($0.1)) })
    if description.access == .admin,
      let quota = clients.limits.learn(answer.reply.status, to: call.request.headers, of: call.client)
    {
      answer.reply = quota.problem.reply(requestID: call.request.requestID)
      answer.quota = quota
    }
    return answer
  }

  private func reply(_ result: HandlerResult, requestID: String, log: Log) -> Reply {
    let problem: Problem
    switch result.end {
    case .answered(let reply): return Self.withoutOurs(reply)
    case .ended(let termination):
      do throws(Problem) {
        return Self.withoutOurs(try Reply(reading: result.output, hasFailed: termination != .exited(0)))
      } catch {
        let fault = result.output.isEmpty ? "it wrote no reply" : error.detail
        log.error("502: \(fault) (\(termination.map(String.init(describing:)) ?? "no exit status"))")
      }
      problem = Problem(.badGateway, "the handler gave no valid reply")
    case .badReply(let reason):
      log.error("502: \(reason)")
      problem = Problem(.badGateway, "the handler gave no valid reply")
    case .tooMuchOutput:
      log.error("502: the reply is larger than 1 MiB")
      problem = Problem(.badGateway, "the handler gave no valid reply")
    case .notStarted(let reason):
      log.error("503: no process could be started: \(reason)")
      problem = Problem(.unavailable, "the handler could not be started", retryAfter: 1)
    case .tooSlow:
      log.error("504: the handler took longer than its time limit and was ended")
      problem = Problem(.tooSlow, "the handler took too long")
    case .turnedAway: problem = Problem(.unavailable, "too many requests are waiting", retryAfter: 1)
    case .heldBack(let seconds):
      log.error("503: the handler's processes end before they answer")
      problem = Problem(.unavailable, "the handler could not be started", retryAfter: seconds)
    case .stopped:
      log.warn("503: the handler was still running when the gateway stopped")
      problem = Problem(.unavailable, "the gateway is stopping", retryAfter: 1)
    }
    return problem.reply(requestID: requestID)
  }

  private static func withoutOurs(_ reply: Reply) -> Reply {
    var reply = reply
    reply.headers = reply.headers.filter { name, _ in !ownHeaders.contains { name.hasPrefix($0) } }
    return reply
  }
}

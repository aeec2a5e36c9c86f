// The gateway's rate limiter as a filter: reads a client key and a time, and returns whether the request would be
// admitted.
import Contract
import Limits

package let handler = Handler(
  Description(
    name: "rate-limit", kind: .step, summary: "Reports for each request whether its client is within the limit",
    bodyLimit: 4096, timeLimitMs: 2000,
    environment: RateClass.allCases.map { Setting($0.settingName, validate: RateClass.validate) },
    input: .init(RateRequest.schema), output: .init(Counters.schema))
) { settings throws(Problem) in
  var counters = Counters(settings)
  return { request, _ throws(Problem) in
    Reply(try counters.answer(RateRequest(checking: try request.json(), now: request.receivedAt)))
  }
}

// The gateway's limiter as a filter: who asks and when comes in, whether it would be admitted goes out.
import Contract
import Limits

Handler(
  Description(
    name: "rate-limit", kind: .step, summary: "Says of each request whether its client is within the limit",
    bodyLimit: 4096, timeLimitMs: 2000,
    environment: RateClass.allCases.map { Setting($0.settingName, fault: RateClass.fault) },
    input: .init(Question.schema), output: .init(Counters.schema))
) { settings throws(Problem) in
  var counters = Counters(settings)
  return { request, _ throws(Problem) in
    Reply(try counters.answer(Question(checking: try request.json(), now: request.receivedAt)))
  }
}.run()

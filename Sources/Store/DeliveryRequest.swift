import Handler
import Leads
import Wire

extension DeliveryLine {
  /// How long a claimed or begun delivery belongs to the worker that has it, in seconds. Not less than the worker lets a
  /// send and its record take, or it would take its own deliveries for lost and send them twice.
  package static let leaseSetting = Setting.number("DELIVERY_LEASE_SECONDS", 30...3600)

  package static func leaseSeconds(_ settings: Settings) -> Int {
    settings.number("DELIVERY_LEASE_SECONDS", default: 30)
  }

  /// What becomes of a message of which nobody knows whether it arrived.
  package static let unknownSetting = Setting.choice("UNKNOWN_OUTCOME", UnknownOutcome.allCases.map(\.rawValue))

  package static func unknownOutcome(_ settings: Settings) -> UnknownOutcome {
    settings["UNKNOWN_OUTCOME"].flatMap(UnknownOutcome.init) ?? .resend
  }

  /// The delivery that a step was asked about.
  package init(of request: Request) throws(Problem) {
    guard let line = DeliveryLine(try request.json()) else {
      throw Problem(.badInput, "the body is no delivery, as event-claim writes it")
    }
    self = line
  }

  /// Answers the deliveries of requests that came together: those that `concerns` picks by what `work` makes of them all
  /// at once, the others untouched. A fault of `work` is the answer to each that it had.
  package static func answer(
    _ requests: [Request], where concerns: (DeliveryLine) -> Bool,
    by work: ([DeliveryLine], Instant) throws(Problem) -> [JSON]
  ) -> [Result<Reply, Problem>] {
    let lines = requests.map { request in Result { () throws(Problem) in try DeliveryLine(of: request) } }
    let concerned = lines.compactMap { try? $0.get() }.filter(concerns)
    let deadline = requests.compactMap(\.deadline).min() ?? .now
    var answers = Result<[JSON], Problem>.success([])
    if !concerned.isEmpty { answers = Result { () throws(Problem) in try work(concerned, deadline) } }
    var next = 0
    return lines.map { line in
      switch (line, answers) {
      case (.failure(let problem), _): return .failure(problem)
      case (.success(let delivery), _) where !concerns(delivery): return .success(Reply(delivery.document))
      case (_, .failure(let problem)): return .failure(problem)
      case (_, .success(let documents)):
        defer { next += 1 }
        return .success(Reply(documents[next]))
      }
    }
  }
}

import Contract
import Forms
import Store
import StoreAccess
import Testing

@Suite("Store failures as problems") struct StoreProblemTests {
  private let log = Log(["LOG_LEVEL": "error", "LOG_FORMAT": "json"])

  private func problem(_ state: String, _ message: String = "words", _ detail: String = "") -> Problem {
    Problem(.refused(sqlState: state, message: message, detail: detail), in: .createAgent, log: log)
  }

  @Test(
    "maps each SQLSTATE of PostgreSQL to a code",
    arguments: [
      ("57014", .databaseTimeout), ("55P03", .databaseBusy), ("42883", .databaseNotMigrated),
      ("08006", .databaseUnavailable), ("23505", .internalError),
    ] as [(String, ProblemCode)])
  func codes(_ state: String, _ code: ProblemCode) {
    #expect(problem(state).code == code && !problem(state).detail.contains("words"))
  }

  @Test("takes the code of our own functions, and fills in the arguments") func ownCodes() {
    #expect(problem("LP404", "agent_not_found") == Problem(.agentNotFound))
    #expect(problem("LP409", "agent_at_capacity", #"{"count": 3}"#) == Problem(.agentAtCapacity, ["count": 3]))
    #expect(problem("LPTRY", "write_conflict").retryAfter == 1)
  }

  @Test("reports a code of a field as an error of this field") func fieldCodes() {
    let error = FieldError(.notAfter, at: "to", ["other": "from"])
    #expect(
      problem("LP400", "not_after", #"{"field": "to", "other": "from"}"#).fields.map(\.message) == [error.message])
  }

  @Test("treats a code that it does not have as an internal error") func unknownCode() {
    #expect(problem("LP409", "from_the_future").code == .internalError)
  }

  @Test("sets retryAfter if a retry may help") func retry() {
    #expect(Problem(.unavailable("gone"), in: .createAgent, log: log).retryAfter == 2)
    #expect(problem("55P03").retryAfter == 1 && problem("42883").retryAfter == 60 && problem("23505").retryAfter == nil)
  }
}

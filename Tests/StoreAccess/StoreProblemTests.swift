import Contract
import Store
import StoreAccess
import Testing

@Suite("A failure of the store as a problem") struct StoreProblemTests {
  private let log = Log(["LOG_LEVEL": "error", "LOG_FORMAT": "json"])

  private func problem(_ state: String, field: String = "") -> Problem {
    Problem(.refused(sqlState: state, message: "words", field: field), in: .createAgent, log: log)
  }

  @Test(
    "has a status of its own for each kind",
    arguments: [
      ("LP400", 400), ("LP401", 401), ("LP403", 403), ("LP404", 404), ("LP409", 409), ("LP412", 412), ("LP503", 503),
      ("LPTRY", 503), ("LP999", 500), ("57014", 504), ("55P03", 503), ("42883", 503), ("08006", 503), ("23505", 500),
    ])
  func statuses(_ state: String, _ status: Int) { #expect(problem(state).kind.status == status) }

  @Test("tells the client what our functions say, and nothing that PostgreSQL says") func words() {
    #expect(problem("LP404").detail == "words" && problem("LP404").details.isEmpty)
    #expect(problem("LP409", field: "email").details == [.init(path: "email", message: "words")])
    #expect(!problem("23505").detail.contains("words"))
  }

  @Test("says when to try again where that helps") func retry() {
    #expect(Problem(.away("gone"), in: .createAgent, log: log).retryAfter == 2)
    #expect(problem("55P03").retryAfter == 1 && problem("42883").retryAfter == 60 && problem("23505").retryAfter == nil)
  }
}

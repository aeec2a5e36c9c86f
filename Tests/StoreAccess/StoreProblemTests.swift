import Contract
import Store
import StoreAccess
import Testing

@Suite("Store failures as problems") struct StoreProblemTests {
  private let log = Log(["LOG_LEVEL": "error", "LOG_FORMAT": "json"])

  private func problem(_ state: String, field: String = "") -> Problem {
    Problem(.refused(sqlState: state, message: "words", field: field), in: .createAgent, log: log)
  }

  @Test(
    "maps each SQLSTATE to a status",
    arguments: [
      ("LP400", 400), ("LP401", 401), ("LP403", 403), ("LP404", 404), ("LP409", 409), ("LP412", 412), ("LP503", 503),
      ("LPTRY", 503), ("LP999", 500), ("57014", 504), ("55P03", 503), ("42883", 503), ("08006", 503), ("23505", 500),
    ])
  func statuses(_ state: String, _ status: Int) { #expect(problem(state).kind.status == status) }

  @Test("reports messages of our own functions, never those of PostgreSQL") func messages() {
    #expect(problem("LP404").detail == "words" && problem("LP404").details.isEmpty)
    #expect(problem("LP409", field: "email").details == [.init(path: "email", message: "words")])
    #expect(!problem("23505").detail.contains("words"))
  }

  @Test("sets retryAfter if a retry may help") func retry() {
    #expect(Problem(.away("gone"), in: .createAgent, log: log).retryAfter == 2)
    #expect(problem("55P03").retryAfter == 1 && problem("42883").retryAfter == 60 && problem("23505").retryAfter == nil)
  }
}

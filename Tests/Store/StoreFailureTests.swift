import Store
import Testing
import Wire

@Suite("Failures of the store") struct StoreFailureTests {
  @Test(
    "maps each SQLSTATE to its kind",
    arguments: [
      ("08006", .unavailable), ("53300", .unavailable), ("57P01", .unavailable), ("58030", .unavailable),
      ("25006", .unavailable), ("57014", .tooSlow), ("55P03", .locked), ("42883", .notMigrated),
      ("42501", .notMigrated), ("42P01", .notMigrated), ("23505", .refused), ("22032", .refused),
    ] as [(String, StoreFailure.Kind)])
  func kinds(_ state: String, _ kind: StoreFailure.Kind) {
    #expect(StoreFailure.refused(sqlState: state, message: "m").kind == kind)
  }

  @Test("a server that has become a standby is unavailable, and another unsupported feature is a refusal")
  func standby() {
    let demoted = StoreFailure.refused(
      sqlState: "0A000", message: "cannot set transaction read-write mode during recovery")
    #expect(demoted.kind == .unavailable)
    #expect(StoreFailure.refused(sqlState: "0A000", message: "not implemented").kind == .refused)
  }

  @Test("carries the message and the field of our own SQL functions") func answered() {
    let failure = StoreFailure.refused(sqlState: "LP409", message: "agent_at_capacity", detail: #"{"count": 3}"#)
    #expect(failure.kind == .answered(code: "agent_at_capacity", arguments: ["count": 3]))
    #expect(StoreFailure.unavailable("gone").kind == .unavailable && StoreFailure.timedOut.kind == .tooSlow)
  }

  @Test(
    "recognises that all sessions of a pooler are in use",
    arguments: [
      "query_wait_timeout", "(ECHECKOUTTIMEOUT) unable to check out connection from the pool after 15000ms",
      "no more connections allowed (max_client_conn)",
    ])
  func noFreeSession(_ reason: String) {
    #expect(StoreFailure.unavailable(reason).kind == .noFreeSession)
  }

  @Test("logs the SQLSTATE and never the message") func brief() {
    #expect(StoreFailure.refused(sqlState: "23505", message: "Key (email)=(a@b.c)").brief == "sqlstate=23505")
  }
}

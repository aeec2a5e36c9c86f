import Contract
import Limits
import Testing
import Wire

/// What is asked of the database for a request, what its answer means, and what a reply changes. No database.
@Suite struct SharedRateLimitsTests {
  private let client = ClientAddress("192.0.2.1")
  private let rules: SharedRateLimits
  private let key = ["x-admin-api-key": "right"]

  init() throws {
    let limit = try #require(RateLimit("10/60"))
    rules = SharedRateLimits([.lead: limit, .admin: limit])
  }

  private func description(_ rateClass: String, _ access: Description.Access = .public) -> Description {
    Description(
      name: "test", kind: .endpoint, summary: "a test", access: access, rateClass: rateClass, environment: [],
      input: .init([:]), output: .init([:]))
  }

  private func verdict(_ isAllowed: Bool, _ remaining: Int, of count: Int = 10, resetsIn: Int = 1500) -> JSON {
    let verdict: JSON = [
      "allowed": .bool(isAllowed), "count": JSON(count), "seconds": 60, "remaining": JSON(remaining),
      "resetsIn": JSON(resetsIn),
    ]
    return isAllowed ? verdict.setting("held", [["rate": "r"]]) : verdict
  }

  private func admission(
    _ headers: [String: String] = [:], hasBody: Bool = false, of rateClass: String = "admin",
    known: Bool = false, _ request: JSON, guess: JSON = .null
  ) throws -> RequestAdmission {
    let question = rules.question(
      headers, hasBody: hasBody, of: client, to: description(rateClass, rateClass == "admin" ? .admin : .public))
    return try #require(
      rules.admission(question, ["known": .bool(known), "request": request, "guess": guess]))
  }

  private func reply(_ status: Int, cookies: [String] = []) -> Reply {
    Reply(status: status, headers: [:], cookies: cookies, body: [])
  }

  @Test func asksForTheLimitsOfTheClassOnly() throws {
    let question = rules.question(key, hasBody: true, of: client, to: description("lead"))
    #expect(
      question.argument == ["limits": [["rate": "lead", "key": "192.0.2.1", "count": 10, "seconds": 60]]])
    #expect(rules.question([:], hasBody: true, of: client, to: description("export")).argument == nil)
  }

  @Test func asksForGuessesOnAdminRoutesWithHashesOfTheKeys() throws {
    let argument = try #require(
      rules.question(key, hasBody: false, of: client, to: description("admin", .admin)).argument)
    #expect(argument["guesses"] == [["rate": "refused-keys", "key": "192.0.2.1", "count": 20, "seconds": 60]])
    let digest = try #require(argument["secrets"]?.array?.first?.string)
    #expect(digest.utf8.count == 32 && !argument.text.contains("right"))
    let authorization = ["authorization": "Bearer right "]
    let bearer = rules.question(authorization, hasBody: false, of: client, to: description("admin", .admin))
    #expect(bearer.argument?["secrets"] == [.string(digest)])
    let without = SharedRateLimits([:]).question(key, hasBody: false, of: client, to: description("admin", .admin))
    #expect(without.argument?["limits"] == [] && without.argument?["guesses"]?.array?.count == 1)
  }

  @Test func reportsTheLimitAndRefuses() throws {
    let admitted = try admission(of: "lead", verdict(true, 9))
    #expect(admitted.refusal == nil && admitted.test == .none)
    let headers = Dictionary(uniqueKeysWithValues: try #require(admitted.quota).headers)
    #expect(headers["ratelimit-policy"] == "\"lead\";q=10;w=60" && headers["ratelimit"] == "\"lead\";r=9;t=2")
    let refused = try admission(of: "lead", verdict(false, 0, resetsIn: 2001))
    #expect(refused.refusal?.problem.retryAfter == 3)
    #expect(refused.refusal?.problem.kind.status == 429)
  }

  @Test func aReplyOfAnotherVersionIsNoDecision() {
    let question = rules.question([:], hasBody: false, of: client, to: description("lead"))
    #expect(rules.admission(question, [:]) == nil)
    #expect(rules.admission(question, ["known": false, "request": ["allowed": true]]) == nil)
    #expect(rules.admission(question, ["known": false, "request": verdict(true, 9, of: 11)]) == nil)
  }

  @Test func onlyFailuresGiveAnAdmissionBack() throws {
    let admitted = try admission(of: "lead", verdict(true, 9))
    for status in [200, 201, 404, 409, 429] { #expect(rules.settlement(admitted, reply(status)).argument == nil) }
    for status in [400, 413, 415, 422] {
      let argument = rules.settlement(admitted, reply(status)).argument
      #expect(argument == ["request": ["held": [["rate": "r"]], "half": true]])
    }
    let failed = rules.settlement(admitted, reply(503))
    #expect(failed.argument == ["request": ["held": [["rate": "r"]], "half": false]])
    #expect(failed.quota(after: ["request": verdict(true, 10)])?.verdict.remaining == 10)
    // The database did not answer.
    #expect(failed.quota(after: nil)?.verdict.remaining == 9)
  }

  @Test func aRightKeyIsRememberedAndItsGuessGivenBack() throws {
    let first = try admission(key, verdict(true, 9), guess: verdict(true, 19, of: 20))
    #expect(first.test == .counted)
    let argument = try #require(rules.settlement(first, reply(200)).argument)
    #expect(argument["accepted"]?.array?.count == 1 && argument["guess"] == ["held": [["rate": "r"]], "half": false])
    #expect(rules.settlement(first, reply(401)).argument == nil, "the guess stays counted")
    let known = try admission(key, known: true, verdict(true, 9))
    #expect(known.test == .free && rules.settlement(known, reply(200)).argument == nil)
    let opened = rules.settlement(known, reply(201, cookies: ["__Host-leadpipe_session=s; Path=/"]))
    #expect(opened.argument?["accepted"]?.array?.count == 1)
    let revoked = rules.settlement(known, reply(401)).argument
    #expect(revoked?["refused"]?.array?.count == 1 && revoked?["guesses"]?.array?.count == 1)
  }

  @Test func unknownKeysBeyondTheGuessesAreTestedInTurn() throws {
    let late = try admission(key, verdict(true, 5), guess: verdict(false, 0, of: 20, resetsIn: 9000))
    #expect(late.refusal == nil && late.test == .inTurn)
    #expect(rules.settlement(late, reply(401)).refusal?.name == "refused-keys")
    #expect(rules.settlement(late, reply(401)).quota(after: nil)?.isAllowed == false)
    #expect(rules.settlement(late, reply(200)).refusal == nil)
    #expect(late.withoutTurn.refusal?.verdict.resetsInSeconds == 1)
    // The limit of the class is used up: a key that is presented is not refused unseen; a request without one is.
    let full = try admission(key, verdict(false, 0))
    #expect(full.refusal == nil && full.test == .inTurn)
    #expect(rules.settlement(full, reply(401)).refusal?.name == "admin")
    #expect(try admission([:], hasBody: true, verdict(false, 0)).refusal == nil)
    #expect(try admission([:], verdict(false, 0)).refusal != nil)
    #expect(try admission(key, known: true, verdict(false, 0)).refusal != nil)
  }
}

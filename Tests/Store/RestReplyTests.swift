import Testing
import Wire

@testable import Store

@Suite("Replies of PostgREST") struct RestReplyTests {
  private static func failure(_ status: Int, _ body: String) -> StoreFailure {
    RestReply(status: status, body: Array(body.utf8)).failure
  }

  @Test("passes on the result of the function") func result() throws {
    #expect(try RestReply(status: 200, body: Array(#"{"id":1}"#.utf8)).result() == ["id": 1])
  }

  @Test("takes no result for a failure", arguments: [(200, "null"), (204, ""), (200, "<html>")])
  func noResult(_ status: Int, _ body: String) {
    #expect(throws: StoreFailure.noAnswer) { try RestReply(status: status, body: Array(body.utf8)).result() }
  }

  @Test("keeps the SQLSTATE, message and detail of an error") func refused() {
    let body = #"{"code":"LP409","message":"agent_at_capacity","details":"{\"count\": 3}","hint":null}"#
    #expect(Self.failure(400, body).kind == .answered(code: "agent_at_capacity", arguments: ["count": 3]))
  }

  @Test(
    "maps each error to its kind",
    arguments: [
      (500, #"{"code":"57014","message":"m"}"#, .tooSlow), (500, #"{"code":"55P03","message":"m"}"#, .locked),
      (403, #"{"code":"42501","message":"m"}"#, .notMigrated), (404, #"{"code":"PGRST202"}"#, .notMigrated),
      (300, #"{"code":"PGRST203"}"#, .notMigrated), (504, #"{"code":"PGRST003"}"#, .noFreeSession),
      (503, #"{"code":"PGRST001"}"#, .unavailable), (406, #"{"code":"PGRST106"}"#, .unavailable),
      (401, #"{"code":"PGRST301"}"#, .unavailable), (401, #"{"message":"Invalid API key"}"#, .unavailable),
      (503, #"{"code":"53300","message":"m"}"#, .unavailable), (409, #"{"code":"23505","message":"m"}"#, .refused),
      (404, "not found", .unavailable), (429, "", .noFreeSession), (502, "<html>", .unavailable), (504, "", .tooSlow),
      (413, "", .refused),
    ] as [(Int, String, StoreFailure.Kind)])
  func kinds(_ status: Int, _ body: String, _ kind: StoreFailure.Kind) {
    #expect(Self.failure(status, body).kind == kind)
  }

  @Test("sends a token as apikey and Bearer, and a secret key as apikey only") func headers() {
    let token = RestAddress(project: "https://x.supabase.co/", key: "eyJa.b.c")
    #expect(token?.headers == ["apikey: eyJa.b.c", "Authorization: Bearer eyJa.b.c"])
    #expect(token?.calls == "https://x.supabase.co/rest/v1/rpc/")
    #expect(RestAddress(project: "https://x.supabase.co", key: "sb_secret_x")?.headers == ["apikey: sb_secret_x"])
  }

  @Test("sends no key unencrypted to another machine") func encryption() {
    #expect(RestAddress(project: "http://x.supabase.co", key: "k") == nil)
    #expect(RestAddress(project: "http://127.0.0.1:54321", key: "k")?.isLoopback == true)
  }
}

import Testing
import Wire

@testable import Contract

@Suite struct FollowingBodyTests {
  private func body(of pieces: [String], fails: Bool = false) -> FollowingBody {
    FollowingBody { send throws(Problem) in
      for piece in pieces where !send(Array(piece.utf8)) { return }
      if fails { throw Problem(.databaseTimeout) }
    }
  }

  @Test func theHeadSaysThatTheBodyFollows() throws {
    let reply = Reply(headers: ["content-type": "text/csv"], following: body(of: ["a"]))
    #expect(reply.envelope.text == #"{"statusCode":200,"headers":{"content-type":"text/csv"},"bodyFollows":true}"#)
    let read = try Reply(reading: reply.envelope.bytes)
    #expect(read.bodyFollows && read.body.isEmpty && read.following == nil)
  }

  @Test func aReplyHasItsBodyInOnePlace() {
    #expect(throws: InvalidReply.self) {
      try Reply(reading: Array(#"{"statusCode":200,"body":"a","bodyFollows":true}"#.utf8))
    }
  }

  @Test func aDoorWithoutPiecesGetsAWholeReplyOrAProblem() throws {
    let whole = try Reply(headers: [:], following: body(of: ["ab", "cd"])).whole(limit: 4)
    #expect(whole.body == Array("abcd".utf8) && !whole.bodyFollows && whole.following == nil)
    let tooLarge = #expect(throws: Problem.self) {
      try Reply(headers: [:], following: body(of: ["ab", "cd", "e"])).whole(limit: 4)
    }
    #expect(tooLarge?.code == .replyTooLargeHere)
    let failed = #expect(throws: Problem.self) {
      try Reply(headers: [:], following: body(of: ["ab"], fails: true)).whole(limit: 4)
    }
    #expect(failed?.code == .databaseTimeout)
  }

  @Test func argumentsAreMembersOfTheBody() {
    var description = Description(
      name: "x", kind: .endpoint, summary: "x",
      input: .init(["properties": ["format": ["type": "string"], "tags": ["anyOf": [["type": "array"]]]]]))
    #expect(description.options(["--format", "csv"]) == nil)
    description = description.withFollowingBody
    let options = description.options(["--format", "csv", "--tags", "a,b"])
    #expect(options == [.init("format", "csv"), .init("tags", ["a", "b"])])
    #expect(description.usage.contains("  --format VALUE\n  --tags VALUE,VALUE…\n"))
    #expect(!description.usage.contains("--stream"))
    for wrong in [["--format"], ["format", "csv"], ["--other", "csv"], ["--format", "csv", "--format", "csv"]] {
      #expect(description.options(wrong) == nil, "\(wrong)")
    }
  }

  @Test func personalDataMustNotBeAnArgument() {
    let description = Description(
      name: "x", kind: .endpoint, summary: "x", input: .init(["properties": ["query": ["type": "string"]]])
    ).withFollowingBody
    #expect(description.options(["--query", "+971501234567"]) == nil)
    #expect(description.complaint(about: "--query").contains("send it on stdin"))
    #expect(!description.usage.contains("--query"))
  }

  @Test func theHeadAloneSaysThatTheBodyFollows() {
    let served = ServedReply(
      Reply(headers: [:], following: nil), to: "HEAD", requestID: "1", origin: nil, access: .public)
    #expect(!served.headers.contains { $0.name == "content-length" })
  }

  @Test func aDescriptionSaysSo() throws {
    let description = Description(name: "x", kind: .endpoint, summary: "x").withFollowingBody
    #expect(description.document["bodyFollows"] == true && description.document["streams"] == false)
    #expect(try Description(reading: description.document).bodyFollows)
  }
}

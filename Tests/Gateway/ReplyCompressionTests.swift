import Contract
import Testing

@testable import gateway

/// Tests of which replies are compressed, and how.
@Suite struct ReplyCompressionTests {
  private static let list = [UInt8](#"{"data":["#.utf8) + Array(repeatElement(0x20, count: 2000)) + Array("]}".utf8)
  private static let json = Reply(
    status: 200, headers: ["content-type": "application/json", "cache-control": "no-store", "etag": "\"12\""],
    body: list)

  @Test(arguments: [
    ("gzip", true), ("br, gzip;q=0.5", true), ("GZIP", true), ("*", true), ("deflate, *;q=0.1", true), ("x-gzip", true),
    ("", false), ("br", false), ("gzip;q=0", false), ("gzip; q=0.000, *", false), ("identity", false), ("*;q=0", false),
  ])
  func readsAcceptEncoding(_ header: String, _ takes: Bool) {
    #expect(AcceptedEncoding.takesGzip(header) == takes)
  }

  @Test func compressesNothingForAClientThatDoesNotSayWhatItTakes() { #expect(!AcceptedEncoding.takesGzip(nil)) }

  @Test func compressesJSONWithItsLengthAndAWeakTag() {
    #expect(ReplyCompression.isWorthwhile(Self.json))
    let reply = ReplyCompression.compressed(Self.json)
    #expect(reply.body.count < 100 && GzipTrailer(reading: reply.body) == GzipTrailer(of: Self.list))
    #expect(reply.headers["content-encoding"] == "gzip" && reply.headers["etag"] == "W/\"12\"")
    #expect(reply.headers["cache-control"] == "no-store")
  }

  @Test func leavesWhatDoesNotShrink() {
    var state: UInt64 = 1
    var reply = Self.json
    reply.body = (0..<4096).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt8(truncatingIfNeeded: state >> 56)
    }
    #expect(ReplyCompression.compressed(reply) == reply)
  }

  @Test(
    arguments: [
      { $0.status = 404 }, { $0.body = Array($0.body.prefix(ReplyCompression.least - 1)) }, { $0.cookies = ["a=1"] },
      { $0.headers["content-type"] = "text/event-stream" }, { $0.headers["content-type"] = nil },
      { $0.headers["content-encoding"] = "br" }, { $0.headers["vary"] = "Prefer" },
      { $0.headers["cache-control"] = "no-store, no-transform" },
    ] as [@Sendable (inout Reply) -> Void])
  func leavesOtherReplies(_ change: @Sendable (inout Reply) -> Void) {
    var reply = Self.json
    change(&reply)
    #expect(!ReplyCompression.isWorthwhile(reply))
  }
}

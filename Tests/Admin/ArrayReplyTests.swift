import Contract
import Testing
import Wire

@testable import Admin

@Suite("Lists as arrays") struct ArrayReplyTests {
  @Test(
    "recognises the preference among others",
    arguments: [
      "list=array", "List=Array", #"list="array""#, "list = array", "respond-async, list=array",
      "list=array;x=1, wait=5",
    ])
  func requested(_ header: String) { #expect(ArrayReply.isRequested(header)) }

  @Test("ignores other preferences", arguments: ["", "list", "list=object", "array", "return=minimal", "x;list=array"])
  func others(_ header: String) { #expect(!ArrayReply.isRequested(header)) }

  @Test("keeps the total and the cursor in headers")
  func headers() {
    let reply = ArrayReply.reply(["data": [1, 2], "total": 7, "limit": 2, "nextCursor": "abc"])
    #expect(reply.body == JSON.array([1, 2]).bytes && reply.status == 200)
    #expect(reply.headers["x-total-count"] == "7" && reply.headers["x-next-cursor"] == "abc")
    #expect(reply.headers["preference-applied"] == "list=array")
    let last = ArrayReply.reply(["data": [], "nextCursor": nil])
    #expect(last.body == Array("[]".utf8))
    #expect(last.headers["x-total-count"] == nil && last.headers["x-next-cursor"] == nil)
  }
}

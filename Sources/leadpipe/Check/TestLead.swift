import Admin
import Glibc
import Leads
import Transports
import Wire

/// The lead that a check submits. Its marks are those that the SQL function leadpipe.is_test_lead looks for.
final class TestLead {
  /// The item that removes it.
  static let removal = "after.removed"
  static let route = "/api/chatbot/leads"
  /// Everyone who gets a notification sees this name.
  static let name = "[test] Leadpipe check"

  /// Chosen here, so that the lead can be removed even if the reply to its submission is lost.
  let id = UUIDText.ordered()
  /// True from before the request is sent.
  var mayExist = false

  /// A number of the Emirates with the code 051, which belongs to no operator, and an address reserved for examples.
  /// Both are different in each run, so that no two test leads have the same customer.
  lazy var body: JSON = {
    let digits = (0..<7).map { _ in String(UInt8.random(in: 0...9)) }.joined()
    return [
      "conversationId": .string(id.text), "customerName": .string(Self.name),
      "customerPhone": .string("+97151" + digits),
      "customerEmail": .string("check-\(Secret.token().prefix(12))@example.com"), "intent": "buy",
      "notes": "[test] This lead was submitted by leadpipe check. It is removed again within a minute.",
      "metadata": ["leadpipeCheck": true],
    ]
  }()

  /// Adds a form token, and its work, if the instance gives tokens: without one the lead could be set aside as spam.
  func prove(_ run: CheckRun) {
    let reply = run.send("GET", "/api/form-token")
    guard reply.status == 200, let document = reply.document, let token = document["token"]?.string else {
      return
    }
    let bits = min(document["work"]?["bits"]?.integer ?? 0, FormWork.mostBits)
    body = body.setting("formToken", .string(token))
    if bits > 0 { body = body.setting("formWork", .string(FormWork.find(token: token, bits: bits))) }
    sleep(UInt32(FormTokens.minimumSeconds) + 1)
  }

  /// The lead as a request for one conversation.
  var argument: JSON { ["id": .string(id.text)] }
}

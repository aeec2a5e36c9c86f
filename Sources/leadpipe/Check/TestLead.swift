import Admin
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
  /// True if the instance has confirmed it.
  var isAccepted = false

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

  /// The lead as a request for one conversation.
  var argument: JSON { ["id": .string(id.text)] }
}

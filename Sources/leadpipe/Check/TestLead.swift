import Admin
import Glibc
import Store
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

  /// The lead as a request for one conversation.
  var argument: JSON { ["id": .string(id.text)] }
}

extension CheckGroup {
  /// What a check leaves behind: nothing. It runs after all items that look at the test lead, whatever they found.
  static let testLeadRemoval = CheckGroup(
    title: "Removal of the test lead",
    items: [
      CheckItem(
        TestLead.removal, "the test lead is removed",
        doing: "removes the test lead, with what other interrupted checks have left, and ends the session"
      ) { run in
        run.session?.close(run)
        guard run.testLead.mayExist else { return .skipped("no test lead was submitted") }
        do throws(StoreFailure) {
          // A request that the instance has not answered may still be stored.
          var reply = try run.call(.removeTestLeads, run.testLead.argument)
          if reply["removed"]?.integer == 0, run.findings["after.capture"]?.hasPassed != true {
            usleep(2_000_000)
            reply = try run.call(.removeTestLeads, run.testLead.argument)
          }
          let count = reply["removed"]?.integer ?? 0
          return .passed("\(count) removed")
        } catch {
          return .failed(
            "the test lead \(run.testLead.id.text) is still there: \(CheckRun.describe(error))",
            mend: "run `leadpipe check` again after a quarter of an hour: it removes what an earlier check has left")
        }
      }
    ])
}

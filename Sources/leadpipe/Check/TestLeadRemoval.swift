import Glibc
import Store
import Wire

extension CheckGroup {
  /// What a check leaves behind: nothing. It runs after all items that look at the test lead, whatever they found.
  static let testLeadRemoval = CheckGroup(
    title: "Removal of the test lead",
    items: [
      CheckItem(
        TestLead.removal, "the test lead is removed",
        doing: "removes the test lead, with what other interrupted checks have left, and ends the session"
      ) { run in
        run.closeSession()
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

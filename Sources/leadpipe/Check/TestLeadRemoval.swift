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
        guard run.findings["before.database"]?.hasPassed == true else { return .skipped("there is no database to ask") }
        do throws(StoreFailure) {
          var reply = try run.call(.removeTestLeads, run.testLead.argument)
          if run.testLead.mayExist, !run.testLead.isAccepted, reply["own"]?.bool != true {
            // A request that the instance has not answered may still be stored.
            usleep(2_000_000)
            reply = try run.call(.removeTestLeads, run.testLead.argument)
          }
          if run.testLead.isAccepted, reply["own"]?.bool != true {
            return .failed(
              "the test lead \(run.testLead.id.text) is not in this database, so it was not removed",
              fix: "run `leadpipe check` with the DATABASE_URL, or SUPABASE_URL, of the instance at \(run.base)")
          }
          let count = reply["removed"]?.integer ?? 0
          return run.testLead.mayExist || count > 0
            ? .passed("\(count) removed") : .skipped("no test lead was submitted")
        } catch {
          return .failed(
            "the test lead \(run.testLead.id.text) is still there: \(CheckRun.describe(error))",
            fix: "run `leadpipe check` again after a quarter of an hour: it removes what an earlier check has left")
        }
      }
    ])
}

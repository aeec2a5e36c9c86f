import Contract
import Store
import Wire

/// How a capture wakes the workers: that of its own machine by a datagram at once; those of others, with WAKE=notify, by a
/// NOTIFY after the reply, in a transaction of its own, for inside the capture's it would make commits queue. Either may be
/// lost without harm: workers poll too.
package struct WakeCall {
  /// `socket`: the datagram alone. `notify`: a NOTIFY beside it.
  package static let setting = Setting.choice("WAKE", ["socket", "notify"])
  package static let settings = [Wake.setting, setting]

  /// Milliseconds. The wait for an answer is shorter than the gateway's for a process that has answered.
  private static let rest = 10
  private static let restAfterFailure = 10_000
  private static let patience = 800

  private let wake: Wake
  private let afterwards: Afterwards

  /// The NOTIFY goes over `database`: at most one in 10 ms, and one more at the end of the process. Of failures in a row the
  /// log has the first.
  package init(_ settings: Settings, over database: Database, _ afterwards: Afterwards) {
    wake = Wake(settings)
    self.afterwards = afterwards
    guard settings["WAKE"] == "notify" else { return }
    var hasFailed = false
    afterwards.set { log in
      do throws(StoreFailure) {
        try database.notify("", deadline: Instant(milliseconds: Instant.now.milliseconds + Self.patience))
        hasFailed = false
        return Self.rest
      } catch {
        if !hasFailed { log.warn("NOTIFY failed: workers elsewhere poll", ["reason": error.brief]) }
        hasFailed = true
        return Self.restAfterFailure
      }
    }
  }

  /// Says that something was stored: call it after the commit.
  package func send() {
    wake.send()
    afterwards.ask()
  }
}

import Contract
import Store
import Wire

/// Wakes the workers after a capture: those on the same host at once by a datagram; with WAKE=notify, those on other
/// hosts by a NOTIFY after the reply. The NOTIFY has its own transaction, because inside the capture's transaction it
/// would serialise commits. Both may be lost without harm, because workers also poll.
package struct WakeCall {
  /// `socket`: only the datagram. `notify`: also a NOTIFY.
  package static let setting = Setting.choice("WAKE", ["socket", "notify"])
  package static let settings = [Wake.setting, setting]

  /// Milliseconds. The time limit of a NOTIFY is shorter than the gateway's for a process that has sent its reply.
  private static let rest = 10
  private static let delayAfterFailure = 10_000
  private static let timeLimit = 800

  private let wake: Wake
  private let afterwards: Afterwards

  /// The NOTIFY is sent over `database`: at most once in 10 ms, and once more at the end of the process. Only the first
  /// of several consecutive failures is logged.
  package init(_ settings: Settings, over database: Database, _ afterwards: Afterwards) {
    wake = Wake(settings)
    self.afterwards = afterwards
    guard settings["WAKE"] == "notify" else { return }
    var hasFailed = false
    afterwards.set { log in
      do throws(StoreFailure) {
        try database.notify("", deadline: Instant(milliseconds: Instant.steady.milliseconds + Self.timeLimit))
        hasFailed = false
        return Self.rest
      } catch {
        if !hasFailed { log.warn("NOTIFY failed: workers on other machines poll", ["reason": error.brief]) }
        hasFailed = true
        return Self.delayAfterFailure
      }
    }
  }

  /// Wakes the workers. The caller must call it after the commit.
  package func send() {
    wake.send()
    afterwards.request()
  }
}

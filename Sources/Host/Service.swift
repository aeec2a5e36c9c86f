import CProcess
import Contract
import Glibc
import Sandbox

/// What every service of ours does first. It holds secrets that its handlers are not given: other processes of the same
/// user may not look into it, and it leaves no core. And where LEADPIPE_SUPERVISED says that somebody supervises it, it is asked to end when that
/// one is gone, however it went.
package func beginService(_ environment: [String: String]) {
  _ = leadpipe_no_new_privileges()
  _ = leadpipe_not_dumpable()
  var none = rlimit(rlim_cur: 0, rlim_max: 0)
  setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
  if environment["LEADPIPE_SUPERVISED"] == "1" { _ = leadpipe_parent_death_signal(SIGTERM) }
}

/// Says once what this machine's kernel does not hold handlers to.
package func reportConfinement(_ log: Log) {
  if let shortfall = ConfinementLevel.here.shortfall {
    log.warn(
      "This kernel does not confine handlers in all: nothing holds them to what they may have", ["of": shortfall])
  }
}

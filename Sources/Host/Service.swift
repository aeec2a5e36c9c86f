import CProcess
import Contract
import Glibc
import Sandbox

/// Secures a service at its start. A service holds secrets that its handlers do not get, so other processes of the same
/// user cannot inspect it, and it writes no core dump. If LEADPIPE_SUPERVISED is set, it gets TERM when its supervisor
/// ends, however that happens.
package func beginService(_ environment: [String: String]) {
  _ = leadpipe_no_new_privileges()
  _ = leadpipe_not_dumpable()
  var none = rlimit(rlim_cur: 0, rlim_max: 0)
  setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
  if environment["LEADPIPE_SUPERVISED"] == "1" { _ = leadpipe_parent_death_signal(SIGTERM) }
}

/// Logs once what this machine's kernel cannot enforce on handlers.
package func reportConfinement(_ log: Log) {
  if let shortfall = ConfinementLevel.here.shortfall {
    log.warn(
      "This kernel does not fully confine handlers: some restrictions are not enforced", ["of": shortfall])
  }
}

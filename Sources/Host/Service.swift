import CProcess
import Glibc

/// What every service of ours does first. It holds secrets that its handlers are not given: other processes of the same
/// user may not look into it. And where LEADPIPE_SUPERVISED says that somebody supervises it, it is asked to end when that
/// one is gone, however it went.
package func beginService(_ environment: [String: String]) {
  _ = leadpipe_no_new_privileges()
  _ = leadpipe_not_dumpable()
  if environment["LEADPIPE_SUPERVISED"] == "1" { _ = leadpipe_parent_death_signal(SIGTERM) }
}

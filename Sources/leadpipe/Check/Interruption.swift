import Glibc
import Synchronization

/// A signal handler can only use globals.
private let hasSignal = Atomic<Bool>(false)

/// Ctrl-C and SIGTERM during a check, a backup or a restore: the items that are left are skipped, and the test lead is
/// removed; the file is deleted; the transaction is rolled back.
enum Interruption {
  static var isRequested: Bool { hasSignal.load(ordering: .relaxed) }

  /// Catches the signals from now on. A second one ends the process at once; a later check removes the test lead then.
  static func catchSignals() {
    // The first access initialises the flag, which a handler must not do.
    hasSignal.store(false, ordering: .relaxed)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      signal(number) { number in
        hasSignal.store(true, ordering: .relaxed)
        signal(number, SIG_DFL)
      }
    }
  }
}

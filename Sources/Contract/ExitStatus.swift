/// The exit statuses of a handler, from sysexits.h.
package enum ExitStatus {
  /// The program was started in the wrong way (EX_USAGE).
  package static let usage: Int32 = 64
  /// A setting is missing or wrong (EX_CONFIG).
  package static let misconfigured: Int32 = 78
  /// The reply could not be written (EX_IOERR).
  package static let unwritable: Int32 = 74

  /// Every exit status with its meaning, for the reference pages.
  package static let meanings: [(status: Int32, meaning: String)] = [
    (0, "The reply has a status of 2xx or 3xx."),
    (usage, "Wrong arguments, or no input from a terminal although the handler needs some. stderr has its usage."),
    (65, "Bad input: any other 4xx."),
    (70, "Server error: any other 5xx."),
    (unwritable, "The reply could not be written."),
    (75, "Try again: 408, 425, 429, 503 and 504."),
    (77, "Not allowed: 401 and 403."),
    (misconfigured, "A setting is missing or wrong. The log, and the reply to a bare request, list all errors."),
  ]

  /// Returns the exit status for a reply's HTTP status.
  package static func of(status: Int) -> Int32 {
    switch status {
    case 200..<400: 0
    case 401, 403: 77
    case 408, 425, 429, 503, 504: 75
    case 400..<500: 65
    default: 70
    }
  }
}

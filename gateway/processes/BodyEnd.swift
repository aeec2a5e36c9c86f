import Host

/// How the body that followed a reply has ended. All but `whole` leave the client with a part of it.
enum BodyEnd: Sendable, Equatable {
  case whole
  /// The process ended by a signal or with a status other than 0.
  case crashed(Termination?)
  /// The gateway ended the process at its time limit.
  case timedOut
  /// The client left, or was cut off because it did not read.
  case clientLeft
  /// The gateway stopped.
  case stopped

  /// The reason for the log; nil for a whole body.
  var reason: String? {
    switch self {
    case .whole: nil
    case .crashed(let termination):
      "the handler ended before its end (\(termination.map(String.init(describing:)) ?? "no exit status"))"
    case .timedOut: "the handler took longer than its time limit and was ended"
    case .clientLeft: "the client left or did not read"
    case .stopped: "the gateway stopped"
    }
  }
}

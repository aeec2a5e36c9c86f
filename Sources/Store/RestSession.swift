import Curl
import Wire

/// Calls functions through a project's REST interface, each call a request and a transaction. The connection is kept
/// between calls. Not thread-safe.
final class RestSession {
  private let address: RestAddress
  private let curl: CurlHandle
  /// When the connection was last known to work, on both clocks: the steady clock stands still while Lambda has frozen
  /// the machine, and the wall clock may be set back.
  private var workedAt = (steady: Instant.steady, wall: Instant.now)

  /// Bytes. Longer replies are refused; no function of ours returns as much.
  private static let longestReply = 64 * 1_048_576
  /// A connection that was idle for longer is not used again: peers close idle connections, some without a word.
  private static let idleSeconds = 15

  /// Nil if libcurl cannot start.
  init?(_ address: RestAddress) {
    guard let curl = CurlHandle() else { return nil }
    self.curl = curl
    self.address = address
  }

  /// Calls a function once. If the deadline passes, or the connection breaks, after the request has been sent, it is
  /// unknown whether the function ran, as it is in a session.
  func call(_ function: Function, _ argument: JSON, deadline: Instant) throws(StoreFailure) -> JSON {
    let milliseconds = deadline.milliseconds - Instant.steady.milliseconds
    guard milliseconds > 0 else { throw .timedOut }
    let body = Array(#"{"p":"#.utf8) + argument.bytes + [UInt8(ascii: "}")]
    let traffic = CurlTraffic(sending: body, milliseconds: milliseconds, bodyLimit: Self.longestReply)
    let idle = max(Instant.steady.seconds(since: workedAt.steady), Instant.now.seconds(since: workedAt.wall))
    do throws(CurlError) {
      try curl.post(
        traffic, of: body.count, to: address.calls + function.rawValue, headers: Self.headers + address.headers,
        allowsPlain: address.isLoopback, isFresh: idle >= Self.idleSeconds, milliseconds: milliseconds)
    } catch { throw failure(error) }
    workedAt = (.steady, .now)
    return try RestReply(status: curl.status, body: traffic.body).result()
  }

  /// Ends the connection; the next call opens another.
  func close() { curl.hangUp() }

  /// The schema is named, because a project may expose another one before it.
  private static let headers = [
    "Content-Type: application/json", "Accept: application/json", "Content-Profile: public",
  ]

  private func failure(_ error: CurlError) -> StoreFailure {
    if error == .tooLong { return .refused(sqlState: "54000", message: "the reply is too long") }
    if error == .timedOut || error == .aborted {
      return curl.uploaded == 0 ? .unavailable("SUPABASE_URL: the connection timed out") : .timedOut
    }
    return .unavailable("SUPABASE_URL: \(CurlError.message(for: error.code))")
  }
}

import Contract
import NIOHTTP1
import Synchronization

/// Logs the origins whose pages may not read replies, each once: the page only sees that its request failed, and the
/// operator sees a request like any other.
final class BlockedOrigins: Sendable {
  /// How many different origins are logged. An Origin header may contain anything.
  private static let most = 100
  private let seen = Mutex<Set<String>>([])
  private let log: Log

  init(log: Log) { self.log = log }

  /// Reports the request's origin, which is not allowed. Pages of the gateway's own host need no permission.
  func report(_ headers: HTTPHeaders) {
    guard let text = headers.first(name: "origin"), !text.isEmpty else { return }
    let name = WebOrigin(text)?.text ?? (text == "null" ? "null" : nil)
    let host = headers.first(name: "host") ?? ""
    if let name, !host.isEmpty, ["http://\(host)", "https://\(host)"].contains(name) { return }
    let line = name.map { "The origin \($0)" } ?? "An origin that no browser sends"
    let isNew = seen.withLock { $0.count < Self.most && $0.insert(line).inserted }
    guard isNew else { return }
    let advice = name == nil || name == "null" ? "" : "; if it is one of yours, add it to ALLOWED_ORIGINS"
    log.warn("\(line) is not allowed: its pages cannot read replies\(advice)")
  }
}

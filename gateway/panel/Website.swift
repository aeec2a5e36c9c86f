import Contract
import Limits
import Synchronization

/// The files for the agency's website: the chatbot, the forms, the questions, the editor of the questions, and the demo
/// page. Pages of every origin may load the scripts and the questions: they contain no data.
final class Website: Sendable {
  /// The number of requests of a client in a period. A page needs about fifteen, and an office may have one address.
  private static let rate = (count: 1000, seconds: 10)

  /// The files by their paths in URLs.
  private let files: [String: PanelFile]
  private let limiter: Mutex<ClientLimiter>
  private let start = ContinuousClock.now

  /// Reads the folder. Throws if it cannot be served.
  /// - Parameter hasDemo: whether the files in `demo` are served.
  init(folder: String, hasDemo: Bool) throws(Problem) {
    let found = try PanelFolder(folder, owner: "the chatbot", required: "chatbot.js").files
    var files: [String: PanelFile] = [:]
    for (name, file) in found where hasDemo || !name.hasPrefix("demo/") {
      let path = name.hasPrefix("editor/") ? "chatbot/" + name : name
      files[path.hasSuffix("/index.html") ? String(path.dropLast("/index.html".count)) : path] = file
    }
    guard let limit = RateLimit(count: Self.rate.count, seconds: Self.rate.seconds) else {
      throw Problem.internalError("the chatbot's rate limit is wrong")
    }
    self.files = files
    limiter = Mutex(ClientLimiter(limit))
  }

  /// Returns the file with exactly this path; nil if there is none.
  func file(at path: RequestPath) -> PanelFile? {
    files[path.segments.map(\.raw).joined(separator: "/")]
  }

  /// Counts a request, and returns the quota; it is not in the limit of any route.
  func admit(_ client: ClientAddress?) -> Quota {
    let now = (ContinuousClock.now - start).milliseconds
    return Quota(name: "chatbot", verdict: limiter.withLock { $0.admit(RateKey(client), at: now) })
  }

  /// Returns the reply to a request for a file. Browsers ask each time whether it has changed, because websites name it
  /// by an address that stays the same.
  static func reply(_ file: PanelFile, to head: RequestHead, requestID: String) -> Reply {
    guard ["GET", "HEAD"].contains(head.method) else {
      return Reply.otherMethod(head.method, allow: ["GET", "HEAD", "OPTIONS"], requestID: requestID)
    }
    var headers = Panel.protection
    // With no-referrer a browser would send the plain forms of the demo with Origin: null, which is refused.
    headers["referrer-policy"] = "same-origin"
    if !file.type.hasPrefix("text/html") {
      headers["access-control-allow-origin"] = "*"
      headers["cross-origin-resource-policy"] = "cross-origin"
      headers["content-security-policy"] = "default-src 'none'; frame-ancestors 'none'"
    }
    return Panel.reply(file, head, caching: "no-cache", headers: headers)
  }
}

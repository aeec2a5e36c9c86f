import Wire

extension Problem {
  /// Returns the reply for this problem.
  package func reply(requestID: String) -> Reply {
    var headers = ["content-type": "application/problem+json"]
    if let retryAfter { headers["retry-after"] = String(retryAfter) }
    if kind == .unauthorized { headers["www-authenticate"] = "Bearer realm=\"leadpipe\"" }
    return Reply(status: kind.status, headers: headers, body: document(requestID: requestID).bytes)
  }
}

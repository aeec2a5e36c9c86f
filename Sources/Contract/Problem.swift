import Wire

/// Everything that can go wrong, in one vocabulary: an RFC 9457 problem with its HTTP status and exit status.
package struct Problem: Error, Sendable, Equatable {
  /// The kinds of failure; each has one status and one title, in `table`.
  package enum Kind: Sendable, CaseIterable {
    case badInput, unauthorized, forbidden, notFound, methodNotAllowed, timeout, conflict, preconditionFailed, tooLarge
    case targetTooLong, unsupportedMediaType, expectationFailed, keyReused, tooManyRequests, headersTooLarge
    case internalError, misconfigured, notAvailable, badGateway, unavailable, busy, notMigrated, tooSlow
  }

  /// One fault of a request: where it is, and what would be right there.
  package struct Detail: Sendable, Equatable {
    package let path: String
    package let message: String

    package init(path: String, message: String) {
      self.path = path
      self.message = message
    }
  }

  package var kind: Kind
  package var detail: String
  package var details: [Detail] = []
  /// Seconds after which the same request may succeed.
  package var retryAfter: Int?

  package init(_ kind: Kind, _ detail: String, details: [Detail] = [], retryAfter: Int? = nil) {
    self.kind = kind
    self.detail = detail
    self.details = details
    self.retryAfter = retryAfter
  }

  /// A request whose fields are wrong, all of them named at once.
  package init(badFields details: [Detail]) {
    let count = details.count == 1 ? "a fault" : "\(details.count) faults"
    self.init(.badInput, "the request has \(count)", details: details)
  }
}

extension Problem.Kind {
  /// The HTTP status and the title, the one table.
  private var table: (status: Int, title: String) {
    switch self {
    case .badInput: (400, "Invalid request")
    case .unauthorized: (401, "Unauthorized")
    case .forbidden: (403, "Forbidden")
    case .notFound: (404, "Not found")
    case .methodNotAllowed: (405, "Method not allowed")
    case .timeout: (408, "Request timeout")
    case .conflict: (409, "Conflict")
    case .preconditionFailed: (412, "Precondition failed")
    case .tooLarge: (413, "Request too large")
    case .targetTooLong: (414, "Request target too long")
    case .unsupportedMediaType: (415, "Unsupported media type")
    case .expectationFailed: (417, "Expectation failed")
    case .keyReused: (422, "Idempotency key reused")
    case .tooManyRequests: (429, "Too many requests")
    case .headersTooLarge: (431, "Request headers too large")
    case .internalError: (500, "Internal server error")
    case .misconfigured: (500, "A setting is missing or wrong")
    case .notAvailable: (501, "Not available")
    case .badGateway: (502, "Bad gateway")
    case .unavailable, .busy, .notMigrated: (503, "Service unavailable")
    case .tooSlow: (504, "Gateway timeout")
    }
  }

  package var status: Int { table.status }
  package var title: String { table.title }
}

extension Problem {
  /// The `application/problem+json` document; `error` and `details` are what clients of the original read.
  package func document(requestID: String) -> JSON {
    var document: JSON = [
      "type": "about:blank", "title": .string(kind.title), "status": JSON(kind.status), "detail": .string(detail),
      "requestId": .string(requestID), "error": .string(kind.title),
    ]
    if !details.isEmpty {
      let faults = details.map { ["path": .string($0.path), "message": .string($0.message)] as JSON }
      document = document.setting("details", .array(faults))
    }
    return document
  }
}

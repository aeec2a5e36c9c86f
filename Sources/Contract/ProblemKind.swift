/// The kinds of failure. Each has one HTTP status and one title.
package enum ProblemKind: Sendable, CaseIterable {
  case badInput, unauthorized, forbidden, notFound, methodNotAllowed, timeout, conflict, preconditionFailed, tooLarge
  case targetTooLong, unsupportedMediaType, expectationFailed, keyReused, tooManyRequests, headersTooLarge, clientLeft
  case internalError, misconfigured, badGateway, unavailable, busy, notMigrated, tooSlow
}

extension ProblemKind {
  /// The only table of statuses and titles.
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
    // Not a status of a standard, but the usual one in logs (of nginx). The client does not read it.
    case .clientLeft: (499, "Client left")
    case .internalError: (500, "Internal server error")
    case .misconfigured: (500, "A setting is missing or wrong")
    case .badGateway: (502, "Bad gateway")
    case .unavailable, .busy, .notMigrated: (503, "Service unavailable")
    case .tooSlow: (504, "Gateway timeout")
    }
  }

  package var status: Int { table.status }
  package var title: String { table.title }
}

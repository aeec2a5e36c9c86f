import Forms
import Wire

/// Why a request failed: an RFC 9457 problem with its code, its HTTP status and its exit status.
package struct Problem: Error, Sendable, Equatable {
  package let code: ProblemCode
  package let detail: String
  /// The errors of single fields.
  package let fields: [FieldError]
  /// Seconds after which the same request may succeed.
  package let retryAfter: Int?

  package var kind: ProblemKind { code.kind }

  package init(_ code: ProblemCode, _ arguments: MessageArguments = [:], retryAfter: Int? = nil) {
    self.code = code
    detail = MessageTemplate.fill(code.template, arguments)
    fields = []
    self.retryAfter = retryAfter
  }

  /// A setting is missing or wrong. The reason is for the operator: `AnsweredRequest` does not pass it to HTTP clients.
  package static func misconfigured(_ reason: String) -> Problem { Problem(.misconfigured, ["reason": reason]) }

  package static func internalError(_ reason: String) -> Problem { Problem(.internalError, ["reason": reason]) }

  /// A request whose fields are wrong, all of them reported at once.
  package init(_ error: FormError) {
    code = .invalidFields
    fields = error.fields
    detail =
      fields.count == 1 ? fields[0].message : MessageTemplate.fill(code.template, ["count": fields.count])
    retryAfter = nil
  }

  /// Settings that are wrong, all of them reported at once.
  package init(settings error: FormError) {
    code = .misconfigured
    fields = error.fields
    detail = fields.map(\.message).joined(separator: "; ")
    retryAfter = nil
  }
}

/// Runs a check; a form's error becomes a problem.
package func checking<Value>(_ check: () throws(FormError) -> Value) throws(Problem) -> Value {
  do throws(FormError) { return try check() } catch { throw Problem(error) }
}

extension Problem {
  /// The `application/problem+json` document. Clients of the original backend read `error` and `details`.
  package func document(requestID: String) -> JSON {
    var document: JSON = [
      "type": "about:blank", "title": .string(kind.title), "status": JSON(kind.status), "code": .string(code.rawValue),
      "detail": .string(detail), "requestId": .string(requestID), "error": .string(kind.title),
    ]
    // Scripts on other pages cannot always read the Retry-After header.
    if let retryAfter { document = document.setting("retryAfterSeconds", JSON(retryAfter)) }
    if fields.isEmpty { return document }
    return document.setting("details", .array(fields.map(\.document)))
  }
}

extension FieldError {
  /// An item of `details` in a problem, and of `warnings` in a reply.
  package var document: JSON {
    ["path": .string(path), "code": .string(code.rawValue), "message": .string(message)]
  }
}

import Contract
import Wire

/// What the operations share: the problem, its replies, the headers of every reply, and the ways to show a key.
enum OpenAPIComponents {
  /// What may become of any request, before a handler sees it.
  static let general: Set<Int> = [400, 408, 413, 414, 415, 417, 429, 431]
  /// What may become of one that a process answers.
  static let ofProcesses: Set<Int> = [500, 502, 503, 504]

  /// The name of the reply of a problem: `Problem404`.
  static func name(of status: Int) -> String { "Problem\(status)" }

  static let problemContent: JSON = ["schema": ["$ref": "#/components/schemas/Problem"]]

  /// Limits may be switched off, and are counted for requests that have found their route.
  static let everyReply: JSON = .object(
    headers.members.map { $0.filter { $0.key != "Retry-After" } }.map { list in
      list.map { .init($0.key, ["$ref": .string("#/components/headers/\($0.key)")]) }
    } ?? [])

  static let document: JSON = [
    "schemas": ["Problem": problem], "responses": .object(responses), "headers": headers,
    "securitySchemes": [
      "adminKey": ["type": "apiKey", "in": "header", "name": "x-admin-api-key"],
      "bearer": ["type": "http", "scheme": "bearer", "description": "the same key"],
      "session": ["type": "apiKey", "in": "cookie", "name": "leadpipe_session", "description": "of a browser"],
      "csrf": ["type": "apiKey", "in": "header", "name": "x-csrf-token", "description": "what the session was given"],
    ],
  ]

  /// A stable name of the error, which clients may translate.
  private static let code: JSON = ["type": "string", "pattern": "^[a-z][a-z0-9_]*$"]

  /// RFC 9457, with what clients of the original read.
  private static let problem: JSON = [
    "type": "object", "required": ["type", "title", "status", "code", "detail", "requestId", "error"],
    "properties": [
      "type": ["const": "about:blank"], "title": ["type": "string"],
      "status": ["type": "integer", "minimum": 400, "maximum": 599], "code": code,
      "detail": ["type": "string"], "requestId": ["type": "string"],
      "error": ["type": "string", "description": "the title again"],
      "details": [
        "type": "array", "minItems": 1, "description": "all errors of the request's fields at once",
        "items": [
          "type": "object", "required": ["path", "code", "message"],
          "properties": ["path": ["type": "string"], "code": code, "message": ["type": "string"]],
        ],
      ],
    ],
  ]

  /// A reply for each status that a problem can have.
  private static var responses: [JSON.Member] {
    var titles: [Int: String] = [:]
    for kind in Problem.Kind.allCases where kind != .misconfigured { titles[kind.status] = kind.title }
    return titles.sorted { $0.key < $1.key }.map { status, title in
      var headers = everyReply
      let retry: JSON = ["$ref": "#/components/headers/Retry-After"]
      if [429, 503, 504].contains(status) { headers = headers.setting("Retry-After", retry) }
      return .init(
        name(of: status),
        [
          "description": .string(title), "headers": headers, "content": ["application/problem+json": problemContent],
        ])
    }
  }

  private static let headers: JSON = [
    "X-Request-Id": [
      "description": "the request's own, or a new one", "required": true,
      "schema": ["type": "string", "minLength": 1, "maxLength": 128],
    ],
    "RateLimit-Policy": [
      "description": "the limit that the request was counted for", "schema": ["type": "string"],
    ],
    "RateLimit": ["description": "where the client stands", "schema": ["type": "string"]],
    "X-RateLimit-Limit": ["schema": count], "X-RateLimit-Remaining": ["schema": count],
    "X-RateLimit-Reset": ["description": "Unix seconds", "schema": count],
    "Retry-After": ["description": "seconds until the same request may succeed", "schema": count],
  ]

  private static let count: JSON = ["type": "integer", "minimum": 0]
}

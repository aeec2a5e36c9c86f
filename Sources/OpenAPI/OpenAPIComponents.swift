import Contract
import Wire

/// Parts that the operations share: the problem schema, its replies, the headers of every reply, and the ways to send a
/// key.
enum OpenAPIComponents {
  /// Problem statuses that any request can get before it reaches a handler.
  static let general: Set<Int> = [400, 408, 413, 414, 415, 417, 429, 431]
  /// Problem statuses that a request to a handler's process can get.
  static let ofProcesses: Set<Int> = [500, 502, 503, 504]

  /// Returns the name of a problem's reply: `Problem404`.
  static func name(of status: Int) -> String { "Problem\(status)" }

  static let problemContent: JSON = ["schema": ["$ref": "#/components/schemas/Problem"]]

  /// Rate limit headers are optional: limits can be disabled, and only requests that match a route are counted.
  static let everyReply: JSON = .object(
    headers.members.map { $0.filter { $0.key != "Retry-After" } }.map { list in
      list.map { .init($0.key, ["$ref": .string("#/components/headers/\($0.key)")]) }
    } ?? [])

  static let document: JSON = [
    "schemas": ["Problem": problem], "responses": .object(responses), "headers": headers,
    "securitySchemes": [
      "adminKey": ["type": "apiKey", "in": "header", "name": "x-admin-api-key"],
      "bearer": [
        "type": "http", "scheme": "bearer",
        "description": "The same key as a bearer token, or an access token of Supabase Auth, if it is set up",
      ],
      "session": [
        "type": "apiKey", "in": "cookie", "name": "__Host-leadpipe_session", "description": "A browser session",
      ],
      "csrf": ["type": "apiKey", "in": "header", "name": "x-csrf-token", "description": "The session's CSRF token"],
    ],
  ]

  /// A stable name of the error. Clients may translate it.
  private static let code: JSON = ["type": "string", "pattern": "^[a-z][a-z0-9_]*$"]

  /// RFC 9457, plus members that older clients read.
  private static let problem: JSON = [
    "type": "object", "required": ["type", "title", "status", "code", "detail", "requestId", "error"],
    "properties": [
      "type": ["const": "about:blank"], "title": ["type": "string"],
      "status": ["type": "integer", "minimum": 400, "maximum": 599], "code": code,
      "detail": ["type": "string"], "requestId": ["type": "string"],
      "error": ["type": "string", "description": "Same as title"],
      "retryAfterSeconds": ["type": "integer", "minimum": 0, "description": "Same as the header Retry-After"],
      "details": [
        "type": "array", "minItems": 1, "description": "All errors of the request's fields",
        "items": [
          "type": "object", "required": ["path", "code", "message"],
          "properties": ["path": ["type": "string"], "code": code, "message": ["type": "string"]],
        ],
      ],
    ],
  ]

  /// The page that a browser gets for a form that it has posted without a script.
  static let page = JSON.Member("text/html", ["schema": ["type": "string"]])

  /// Returns the reply of a problem for a route that takes forms: a page is possible too.
  static func pageOrProblem(of status: Int) -> JSON? {
    let problem = responses.first { $0.key == name(of: status) }?.value
    return problem?.setting(
      "content", .object([.init("application/problem+json", problemContent), page]))
  }

  /// A reply for each status that a problem can have.
  private static var responses: [JSON.Member] {
    var titles: [Int: String] = [:]
    for kind in ProblemKind.allCases where kind != .misconfigured { titles[kind.status] = kind.title }
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
      "description": "The request's X-Request-Id, or a new id", "required": true,
      "schema": ["type": "string", "minLength": 1, "maxLength": 128],
    ],
    "RateLimit-Policy": [
      "description": "The rate limit that applies to the request", "schema": ["type": "string"],
    ],
    "RateLimit": ["description": "Remaining requests and seconds until reset", "schema": ["type": "string"]],
    "X-RateLimit-Limit": ["schema": count], "X-RateLimit-Remaining": ["schema": count],
    "X-RateLimit-Reset": ["description": "Reset time in Unix seconds", "schema": count],
    "Retry-After": ["description": "Seconds until the same request may succeed", "schema": count],
  ]

  private static let count: JSON = ["type": "integer", "minimum": 0]
}

import Wire

/// What a handler is, as `--describe` prints it: the source of the gateway's routes, the OpenAPI document and the
/// settings check. It asks for things and grants nothing.
package struct Description: Sendable, Equatable {
  /// An endpoint answers a route; a step is a stage of the worker.
  package enum Kind: String, Sendable { case endpoint, step }
  package enum Access: String, Sendable { case `public`, admin }

  package struct Route: Sendable, Hashable {
    package let method: String
    /// Segments in braces are parameters: `/api/admin/conversations/{id}`.
    package let path: String

    package init(_ method: String, _ path: String) {
      self.method = method
      self.path = path
    }

    package var key: String { "\(method) \(path)" }
  }

  package var name: String
  package var kind: Kind
  package var summary: String
  package var routes: [Route] = []
  package var access = Access.public
  /// Whose rate limit counts its requests: lead, contact, admin, export or default.
  package var rateClass = "default"
  /// The largest body in bytes.
  package var bodyLimit = 65_536
  package var timeLimitMs = 10_000
  /// Whether it has the stream door, with replies that name their requests.
  package var streams = true
  /// The step that says what follows its reply, where that is the beginning of a `text/event-stream`; nil where nothing does.
  package var feed: String?
  package var environment: [Setting]
  /// JSON Schema 2020-12 of the query's parameters, as an object; nil where it has none.
  package var query: JSON?
  /// JSON Schema 2020-12 of the request's headers that it looks at, as an object; nil where it looks at none.
  package var headers: JSON?
  /// The statuses of the replies that have `output` for a body; 204 has none.
  package var statuses = [200]
  /// The media types of these replies.
  package var types = ["application/json"]
  /// JSON Schema 2020-12 of the headers of these replies that it adds, as an object; nil where it adds none.
  package var replyHeaders: JSON?
  /// The statuses of its problems, beside those that every handler of its kind may have.
  package var problems: [Int] = []
  /// JSON Schema 2020-12 of the body and of the reply's body.
  package var input: JSON
  package var output: JSON

  package init(
    name: String, kind: Kind, summary: String, routes: [Route] = [], access: Access = .public,
    rateClass: String = "default", bodyLimit: Int = 65_536, timeLimitMs: Int = 10_000, streams: Bool = true,
    feed: String? = nil, environment: [Setting] = [], query: JSON? = nil, headers: JSON? = nil, statuses: [Int] = [200],
    types: [String] = ["application/json"], replyHeaders: JSON? = nil, problems: [Int] = [], input: JSON, output: JSON
  ) {
    self.name = name
    self.kind = kind
    self.summary = summary
    self.routes = routes
    self.access = access
    self.rateClass = rateClass
    self.bodyLimit = bodyLimit
    self.timeLimitMs = timeLimitMs
    self.streams = streams
    self.feed = feed
    self.environment = environment
    self.query = query
    self.headers = headers
    self.statuses = statuses
    self.types = types
    self.replyHeaders = replyHeaders
    self.problems = problems
    self.input = input
    self.output = output
  }
}

extension Description {
  /// How much processor time one request may take: its time limit, and what it takes to end.
  package var processorSeconds: Int { timeLimitMs / 1000 + 5 }

  /// Where the settings that it asks for lead. A description that was read from JSON does not know.
  package var destinations: [String: Destination] {
    Dictionary(environment.compactMap { setting in setting.leadsTo.map { (setting.name, $0) } }) { $1 }
  }

  package var document: JSON {
    let variables = environment.map { ["name": .string($0.name), "required": .bool($0.isRequired)] as JSON }
    var document: JSON = [
      "name": .string(name), "kind": .string(kind.rawValue), "summary": .string(summary),
      "routes": .array(routes.map { ["method": .string($0.method), "path": .string($0.path)] }),
      "access": .string(access.rawValue), "rateClass": .string(rateClass), "bodyLimit": JSON(bodyLimit),
      "timeLimitMs": JSON(timeLimitMs), "streams": .bool(streams), "environment": .array(variables),
      "statuses": .array(statuses.map { JSON($0) }), "input": input, "output": output,
    ]
    if let feed { document = document.setting("feed", .string(feed)) }
    for (name, schema) in [("query", query), ("headers", headers), ("replyHeaders", replyHeaders)] {
      if let schema { document = document.setting(name, schema) }
    }
    if types != ["application/json"] { document = document.setting("types", .array(types.map(JSON.string))) }
    if !problems.isEmpty { document = document.setting("problems", .array(problems.map { JSON($0) })) }
    return document
  }

  /// Reads what `--describe` printed; the error says which member is missing or wrong.
  package init(reading document: JSON) throws(Problem) {
    func text(_ json: JSON, _ key: String) throws(Problem) -> String {
      guard let text = json[key]?.string else { throw Problem(.badInput, "the description lacks \(key)") }
      return text
    }
    func limit(_ key: String, _ range: ClosedRange<Int>) throws(Problem) -> Int {
      guard let number = document[key]?.integer, range ~= number else {
        throw Problem(.badInput, "the description's \(key) is not between \(range.lowerBound) and \(range.upperBound)")
      }
      return number
    }
    guard let kind = Kind(rawValue: try text(document, "kind")),
      let access = Access(rawValue: try text(document, "access"))
    else { throw Problem(.badInput, "the description's kind or access is unknown") }
    let routes = try (document["routes"]?.array ?? []).map { route throws(Problem) -> Route in
      let route = Route(try text(route, "method"), try text(route, "path"))
      guard Header.isToken(route.method), route.path.hasPrefix("/") else {
        throw Problem(.badInput, "the description has a malformed route")
      }
      return route
    }
    let environment = try (document["environment"]?.array ?? []).map { item throws(Problem) -> Setting in
      Setting(try text(item, "name"), required: item["required"]?.bool == true)
    }
    func statuses(_ key: String, _ range: ClosedRange<Int>, without fallback: [Int]) throws(Problem) -> [Int] {
      guard let list = document[key] else { return fallback }
      let numbers = (list.array ?? []).compactMap(\.integer).filter { range ~= $0 }
      guard let items = list.array, numbers.count == items.count, Set(numbers).count == numbers.count else {
        throw Problem(.badInput, "the description's \(key) are not of \(range.lowerBound) to \(range.upperBound)")
      }
      return numbers
    }
    let types = (document["types"]?.array ?? ["application/json"]).compactMap(\.string).filter(Header.isMediaType)
    guard !types.isEmpty else { throw Problem(.badInput, "the description's types are no media types") }
    self.init(
      name: try text(document, "name"), kind: kind, summary: try text(document, "summary"), routes: routes,
      access: access, rateClass: document["rateClass"]?.string ?? "default",
      bodyLimit: try limit("bodyLimit", 0...16_777_216), timeLimitMs: try limit("timeLimitMs", 1...600_000),
      streams: document["streams"]?.bool == true, feed: document["feed"]?.string, environment: environment,
      query: document["query"],
      headers: document["headers"], statuses: try statuses("statuses", 200...599, without: [200]), types: types,
      replyHeaders: document["replyHeaders"], problems: try statuses("problems", 400...599, without: []),
      input: document["input"] ?? [:], output: document["output"] ?? [:])
  }
}

import Wire

/// A handler's description, as `--describe` prints it. The gateway's routes, the OpenAPI document and the settings
/// check are derived from it. It requests settings; it grants nothing.
package struct Description: Sendable, Equatable {
  /// An endpoint answers a route. A step is a stage of the worker.
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
  /// The rate class: lead, contact, admin, export or default.
  package var rateClass = "default"
  /// The largest body in bytes.
  package var bodyLimit = 65_536
  package var timeLimitMs = 10_000
  /// True if broken characters in the strings of a body are replaced by U+FFFD. Otherwise they refuse the request.
  package var repairsText = false
  /// True if it supports `--stream`, with replies that include the id of their request.
  package var streams = true
  /// True if the body of a successful reply may follow its envelope, piece by piece. Such a handler runs in a process of
  /// its own for each request.
  package var bodyFollows = false
  /// The name of the step that supplies the events after the reply, if the reply starts a `text/event-stream`. Nil
  /// otherwise.
  package var feed: String?
  /// True if cookies are not passed to the handler, and do not count as presented keys.
  package var ignoresCookies = false
  /// True if it also takes what an HTML form posts without a script: see `PlainForms` in Capture.
  package var takesForms = false
  package var environment: [Setting]
  package var input: Input
  package var output: Output

  /// A handler's input, as JSON Schema 2020-12.
  package struct Input: Sendable, Equatable {
    package var body: JSON
    /// The query parameters, as one object. Nil if there are none.
    package var query: JSON?
    /// The request headers that it reads, as one object. Nil if it reads none.
    package var headers: JSON?

    package init(_ body: JSON = ["type": "object"], query: JSON? = nil, headers: JSON? = nil) {
      self.body = body
      self.query = query
      self.headers = headers
    }
  }

  /// A handler's output.
  package struct Output: Sendable, Equatable {
    /// JSON Schema 2020-12 of the body of a successful reply.
    package var body: JSON
    /// The statuses of replies with this body. A 204 has no body.
    package var statuses: [Int]
    /// The media types of these replies.
    package var types: [String]
    /// JSON Schema 2020-12 of the headers that it adds to these replies, as one object. Nil if it adds none.
    package var headers: JSON?
    /// The statuses of its problems, in addition to those that every handler of its kind can return.
    package var problems: [Int]

    package init(
      _ body: JSON = ["type": "object"], statuses: [Int] = [200], types: [String] = ["application/json"],
      headers: JSON? = nil, problems: [Int] = []
    ) {
      self.body = body
      self.statuses = statuses
      self.types = types
      self.headers = headers
      self.problems = problems
    }
  }

  package init(
    name: String, kind: Kind, summary: String, routes: [Route] = [], access: Access = .public,
    rateClass: String = "default", bodyLimit: Int = 65_536, timeLimitMs: Int = 10_000, repairsText: Bool = false,
    streams: Bool = true,
    feed: String? = nil, environment: [Setting] = [], input: Input = Input(), output: Output = Output()
  ) {
    self.name = name
    self.kind = kind
    self.summary = summary
    self.routes = routes
    self.access = access
    self.rateClass = rateClass
    self.bodyLimit = bodyLimit
    self.timeLimitMs = timeLimitMs
    self.repairsText = repairsText
    self.streams = streams
    self.feed = feed
    self.environment = environment
    self.input = input
    self.output = output
  }
}

extension Description {
  /// The CPU time that one request may take, in seconds: its time limit plus 5 seconds to exit.
  package var processorSeconds: Int { timeLimitMs / 1000 + 5 }

  /// The same description of a handler whose body may follow its reply.
  package var withFollowingBody: Description {
    var copy = self
    copy.bodyFollows = true
    copy.streams = false
    return copy
  }

  /// The same description of a handler to which cookies are not passed.
  package var ignoringCookies: Description {
    var copy = self
    copy.ignoresCookies = true
    return copy
  }

  /// The same description of a handler that also takes posted HTML forms.
  package var takingForms: Description {
    var copy = self
    copy.takesForms = true
    return copy
  }

  /// Returns `environment` without the settings that another one makes unnecessary: with DATABASE_URL, nothing is called
  /// through SUPABASE_URL, so the process must neither reach it nor have its key.
  package func needed(_ environment: [String: String]) -> [String: String] {
    let replaced = self.environment.flatMap { setting in
      environment[setting.name].map { $0.isEmpty ? [] : setting.substitutes } ?? []
    }
    return environment.filter { !replaced.contains($0.key) }
  }

  /// The destinations of its settings. Empty for a description read from JSON, which does not contain them.
  package var destinations: [String: Destination] {
    Dictionary(environment.compactMap { setting in setting.leadsTo.map { (setting.name, $0) } }) { $1 }
  }

  package var document: JSON {
    let variables = environment.map { setting in
      let variable: JSON = ["name": .string(setting.name), "required": .bool(setting.isRequired)]
      guard !setting.substitutes.isEmpty else { return variable }
      return variable.setting("unless", .array(setting.substitutes.map(JSON.string)))
    }
    var document: JSON = [
      "name": .string(name), "kind": .string(kind.rawValue), "summary": .string(summary),
      "routes": .array(routes.map { ["method": .string($0.method), "path": .string($0.path)] }),
      "access": .string(access.rawValue), "rateClass": .string(rateClass), "bodyLimit": JSON(bodyLimit),
      "timeLimitMs": JSON(timeLimitMs), "streams": .bool(streams), "environment": .array(variables),
      "statuses": .array(output.statuses.map { JSON($0) }), "input": input.body, "output": output.body,
    ]
    if let feed { document = document.setting("feed", .string(feed)) }
    if bodyFollows { document = document.setting("bodyFollows", true) }
    if ignoresCookies { document = document.setting("ignoresCookies", true) }
    if takesForms { document = document.setting("takesForms", true) }
    for (name, schema) in [("query", input.query), ("headers", input.headers), ("replyHeaders", output.headers)] {
      if let schema { document = document.setting(name, schema) }
    }
    if output.types != ["application/json"] {
      document = document.setting("types", .array(output.types.map(JSON.string)))
    }
    if !output.problems.isEmpty { document = document.setting("problems", .array(output.problems.map { JSON($0) })) }
    return document
  }

  /// Reads the output of `--describe`. The error names the member that is missing or wrong.
  package init(reading document: JSON) throws(InvalidDescription) {
    func text(_ json: JSON, _ key: String) throws(InvalidDescription) -> String {
      guard let text = json[key]?.string else { throw InvalidDescription(reason: "the description lacks \(key)") }
      return text
    }
    func limit(_ key: String, _ range: ClosedRange<Int>) throws(InvalidDescription) -> Int {
      guard let number = document[key]?.integer, range ~= number else {
        throw InvalidDescription(
          reason: "the description's \(key) is not between \(range.lowerBound) and \(range.upperBound)")
      }
      return number
    }
    guard let kind = Kind(rawValue: try text(document, "kind")),
      let access = Access(rawValue: try text(document, "access"))
    else { throw InvalidDescription(reason: "the description's kind or access is unknown") }
    let routes = try (document["routes"]?.array ?? []).map { route throws(InvalidDescription) -> Route in
      let route = Route(try text(route, "method"), try text(route, "path"))
      guard Header.isToken(route.method), route.path.hasPrefix("/") else {
        throw InvalidDescription(reason: "the description has a malformed route")
      }
      return route
    }
    let environment = try (document["environment"]?.array ?? []).map { item throws(InvalidDescription) -> Setting in
      Setting(
        try text(item, "name"), required: item["required"]?.bool == true,
        unless: (item["unless"]?.array ?? []).compactMap(\.string))
    }
    func statuses(_ key: String, _ range: ClosedRange<Int>, without fallback: [Int]) throws(InvalidDescription) -> [Int]
    {
      guard let list = document[key] else { return fallback }
      let numbers = (list.array ?? []).compactMap(\.integer).filter { range ~= $0 }
      guard let items = list.array, numbers.count == items.count, Set(numbers).count == numbers.count else {
        throw InvalidDescription(
          reason: "the description's \(key) must be numbers from \(range.lowerBound) to \(range.upperBound)")
      }
      return numbers
    }
    let types = (document["types"]?.array ?? ["application/json"]).compactMap(\.string).filter(Header.isMediaType)
    guard !types.isEmpty else { throw InvalidDescription(reason: "the description's types must be media types") }
    self.init(
      name: try text(document, "name"), kind: kind, summary: try text(document, "summary"), routes: routes,
      access: access, rateClass: document["rateClass"]?.string ?? "default",
      bodyLimit: try limit("bodyLimit", 0...16_777_216), timeLimitMs: try limit("timeLimitMs", 1...600_000),
      streams: document["streams"]?.bool == true, feed: document["feed"]?.string, environment: environment,
      input: Input(document["input"] ?? [:], query: document["query"], headers: document["headers"]),
      output: Output(
        document["output"] ?? [:], statuses: try statuses("statuses", 200...599, without: [200]), types: types,
        headers: document["replyHeaders"], problems: try statuses("problems", 400...599, without: [])))
    ignoresCookies = document["ignoresCookies"]?.bool == true
    takesForms = document["takesForms"]?.bool == true
    bodyFollows = document["bodyFollows"]?.bool == true
  }
}

/// Why a document is not a description.
package struct InvalidDescription: Error, Sendable {
  package let reason: String
}

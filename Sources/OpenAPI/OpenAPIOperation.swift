import Contract
import Wire

/// One method of one path, as an OpenAPI operation.
struct OpenAPIOperation {
  let description: Description
  let method: String
  /// The path's parameter names, in order.
  let parameters: [String]
  let id: String
  let family: String
  /// True if a process answers, which may fail or time out.
  let hasProcess: Bool
  /// True if it follows this product's rules for replies.
  let isOurs: Bool

  private var isAdmin: Bool { description.access == .admin }
  private var changes: Bool { method != "GET" }

  var document: JSON {
    var operation: JSON = [
      "operationId": .string(id), "summary": .string(description.summary), "tags": [.string(family)],
      "security": security,
    ]
    let query = takesQuery ? named(description.input.query, "query") : []
    let parameters = pathParameters + query + named(description.input.headers, "header")
    if !parameters.isEmpty { operation = operation.setting("parameters", .array(parameters)) }
    if let body = requestBody { operation = operation.setting("requestBody", body) }
    return operation.setting("responses", responses)
  }

  // MARK: - Request

  /// The key or a session is accepted. Requests that change something also need the session's CSRF token. Where a
  /// session is opened, the key may be in the body.
  private var security: JSON {
    guard isAdmin else { return [] }
    if method == "POST", description.output.headers?["properties"]?["Set-Cookie"] != nil {
      return [["adminKey": []], ["bearer": []], [:]]
    }
    return [["adminKey": []], ["bearer": []], changes ? ["session": [], "csrf": []] : ["session": []]]
  }

  /// Our own ids are UUIDs, and our other parameters consist of letters, digits, `_` and `-`. A foreign handler's
  /// parameters may be anything.
  private var pathParameters: [JSON] {
    parameters.map { name in
      let word: JSON = ["type": "string", "minLength": 1]
      let own: JSON =
        name == "id"
        ? ["type": "string", "format": "uuid"] : ["type": "string", "pattern": "^[0-9A-Za-z_-]{1,100}$"]
      return ["name": .string(name), "in": "path", "required": true, "schema": isOurs ? own : word]
    }
  }

  /// Converts the properties of an object schema to parameters. A repeated parameter means the same as commas in one.
  private func named(_ schema: JSON?, _ place: String) -> [JSON] {
    guard let schema = schema.map(sound) else { return [] }
    let required = Set((schema["required"]?.array ?? []).compactMap(\.string))
    return (schema["properties"]?.members ?? []).map { member in
      let isRequired = required.contains(member.key)
      let parameter: JSON = [
        "name": .string(member.key), "in": .string(place), "required": .bool(isRequired),
      ]
      // An object is sent as JSON.
      if place == "query", member.value["type"] == "object" {
        return parameter.setting("content", ["application/json": ["schema": member.value]])
      }
      guard place == "query" else { return parameter.setting("schema", member.value) }
      return parameter.setting("schema", member.value).setting("style", "form").setting("explode", true)
        .setting("allowEmptyValue", .bool(!isRequired))
    }
  }

  /// A schema without members describes no body.
  private var requestBody: JSON? {
    guard changes, !description.input.body.removing("type").isEmptyObject else { return nil }
    let schema: JSON = ["schema": sound(description.input.body)]
    // A form has the same fields as text.
    let forms = description.takesForms ? ["application/x-www-form-urlencoded", "multipart/form-data"] : []
    let types = [JSON.Member("application/json", schema)] + forms.map { .init($0, schema) }
    return ["required": true, "content": .object(types)]
  }

  /// False for the POST of a handler whose GET has in its query what the POST has in its body.
  private var takesQuery: Bool {
    requestBody == nil || !description.routes.contains { $0.method == "GET" }
  }

  private func sound(_ schema: JSON) -> JSON { OpenAPISchema.sound(schema, isOurs: isOurs) }

  // MARK: - Responses

  private var responses: JSON {
    var responses: [Int: JSON] = [:]
    for status in problems {
      let reference: JSON = ["$ref": .string("#/components/responses/" + OpenAPIComponents.name(of: status))]
      responses[status] = description.takesForms ? OpenAPIComponents.pageOrProblem(of: status) : reference
    }
    for status in description.output.statuses {
      responses[status] = reply(status, isProblemToo: responses[status] != nil)
    }
    if description.takesForms { responses[303] = redirect }
    return .object(responses.sorted { $0.key < $1.key }.map { .init(String($0.key), $0.value) })
  }

  /// The problem statuses of any request, those of admin requests, and those that the handler declares.
  private var problems: Set<Int> {
    var problems = OpenAPIComponents.general.union(description.output.problems)
    if hasProcess { problems.formUnion(OpenAPIComponents.ofProcesses) }
    if isAdmin { problems.formUnion([401, 403, 503]) }
    // A form from a page of another origin.
    if description.takesForms { problems.insert(403) }
    if !parameters.isEmpty { problems.insert(404) }
    return problems
  }

  /// After a form that a browser has posted without a script.
  private var redirect: JSON {
    let address: JSON = ["type": "string", "format": "uri"]
    return [
      "description": "Success; the page that the form or FORM_THANKS_URL names",
      "headers": OpenAPIComponents.everyReply.setting("Location", ["required": true, "schema": address]),
      "content": .object([OpenAPIComponents.page]),
    ]
  }

  private func reply(_ status: Int, isProblemToo: Bool) -> JSON {
    var headers = OpenAPIComponents.everyReply
    for member in description.output.headers.map(sound)?["properties"]?.members ?? [] {
      headers = headers.setting(member.key, ["schema": member.value])
    }
    let reply: JSON = [
      "description": .string(status < 300 ? "Success" : "Unhealthy; same body"), "headers": headers,
    ]
    guard status != 204 else { return reply }
    var content = description.output.types.map { type in
      // For a stream, the schema describes each event. OpenAPI has `itemSchema` for that from 3.2 on.
      let isSaid = type.hasSuffix("/json") || type.hasSuffix("+json") || type == "text/event-stream"
      let schema = isSaid ? sound(description.output.body) : ["type": "string"]
      return JSON.Member(type, ["schema": schema])
    }
    if description.takesForms { content.append(OpenAPIComponents.page) }
    if isProblemToo { content.append(.init("application/problem+json", OpenAPIComponents.problemContent)) }
    return reply.setting("content", .object(content))
  }
}

extension JSON {
  fileprivate var isEmptyObject: Bool { members?.isEmpty ?? true }
}

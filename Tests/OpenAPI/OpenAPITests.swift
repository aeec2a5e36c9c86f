import Contract
import OpenAPI
import Testing
import Wire

@Suite("The OpenAPI document") struct OpenAPITests {
  private func endpoint(
    _ name: String, _ routes: (String, String)..., access: Description.Access = .public, query: JSON? = nil,
    headers: JSON? = nil, statuses: [Int] = [200], types: [String] = ["application/json"], replyHeaders: JSON? = nil,
    problems: [Int] = [], input: JSON = [:], output: JSON = [:]
  ) -> Description {
    Description(
      name: name, kind: .endpoint, summary: "s", routes: routes.map { .init($0.0, $0.1) }, access: access,
      input: .init(input, query: query, headers: headers),
      output: .init(output, statuses: statuses, types: types, headers: replyHeaders, problems: problems))
  }

  private func document(of handlers: [Description]) -> JSON {
    OpenAPI.document(of: handlers, ours: ["lead-capture"])
  }

  private func operation(_ description: Description, _ method: String = "get", _ path: String = "/a") -> JSON {
    document(of: [description])["paths"]?[path]?[method] ?? [:]
  }

  private func statuses(_ operation: JSON) -> Set<Int> {
    Set((operation["responses"]?.members ?? []).compactMap { Int($0.key) })
  }

  @Test("lists every route of an endpoint and its own route, but no step") func routes() {
    let step = Description(
      name: "s-s", kind: .step, summary: "s", routes: [.init("GET", "/s")], input: .init([:]), output: .init([:]))
    let both = endpoint("b-c", ("POST", "/b"), ("GET", "/b"), ("HEAD", "/b"), ("POST", "/c"))
    let paths = document(of: [both, step])["paths"]
    #expect(paths?.members?.map(\.key) == ["/api/openapi.json", "/b", "/c"])
    #expect(paths?["/b"]?.members?.map(\.key) == ["post", "get"])
    let ids = ["post", "get"].map { paths?["/b"]?[$0]?["operationId"] } + [paths?["/c"]?["post"]?["operationId"]]
    #expect(ids == ["b-c", "b-c-2", "b-c-3"])
    #expect(paths?["/b"]?["get"]?["tags"] == ["b"])
  }

  @Test("does not depend on the order of handlers with unique names") func order() {
    let list = [endpoint("a-a", ("GET", "/a")), endpoint("b-b", ("GET", "/b"))]
    #expect(document(of: list) == document(of: list.reversed()))
  }

  @Test("numbers an operation id that is already taken") func takenID() {
    let document = self.document(of: [endpoint("openapi-show", ("GET", "/mine"))])
    #expect(document["paths"]?["/mine"]?["get"]?["operationId"] == "openapi-show")
    #expect(document["paths"]?["/api/openapi.json"]?["get"]?["operationId"] == "openapi-show-2")
  }

  @Test("merges paths that differ only in parameter names") func shapes() {
    let document = self.document(of: [
      endpoint("a-get", ("GET", "/a/{one}")), endpoint("a-put", ("PUT", "/a/{two}")),
    ])
    #expect(document["paths"]?["/a/{one}"]?["put"]?["parameters"]?.array?.first?["name"] == "one")
    #expect(document["paths"]?["/a/{two}"] == nil)
  }

  @Test("gives the id in a path the format uuid if the handler is ours") func ids() {
    func format(_ name: String) -> JSON? {
      let operation = operation(endpoint(name, ("GET", "/a/{id}")), "get", "/a/{id}")
      #expect(statuses(operation).contains(404))
      return operation["parameters"]?.array?.first?["schema"]?["format"]
    }
    #expect(format("lead-capture") == "uuid")
    #expect(format("their-own") == nil)
  }

  @Test("derives parameters from the schemas of query and headers") func parameters() {
    let operation = operation(
      endpoint(
        "a-a", ("GET", "/a"),
        query: [
          "required": ["q"],
          "properties": [
            "q": ["type": "string"], "status": ["type": "array", "items": ["type": "string"]],
            "filters": ["type": "object"],
          ],
        ], headers: ["properties": ["If-Match": ["type": "string"]]]))
    #expect(
      operation["parameters"] == [
        [
          "name": "q", "in": "query", "required": true, "schema": ["type": "string"], "style": "form", "explode": true,
          "allowEmptyValue": false,
        ],
        [
          "name": "status", "in": "query", "required": false,
          "schema": ["type": "array", "items": ["type": "string"]], "style": "form", "explode": true,
          "allowEmptyValue": true,
        ],
        [
          "name": "filters", "in": "query", "required": false,
          "content": ["application/json": ["schema": ["type": "object"]]],
        ],
        ["name": "If-Match", "in": "header", "required": false, "schema": ["type": "string"]],
      ])
  }

  @Test("requires a request body if the input has a property, but not on GET") func bodies() {
    let input: JSON = ["type": "object", "properties": ["a": ["type": "string"]]]
    let post = operation(endpoint("a-a", ("POST", "/a"), input: input), "post")
    #expect(post["requestBody"] == ["required": true, "content": ["application/json": ["schema": input]]])
    #expect(operation(endpoint("a-a", ("POST", "/a"), input: ["type": "object"]), "post")["requestBody"] == nil)
    #expect(operation(endpoint("a-a", ("GET", "/a"), input: input))["requestBody"] == nil)
  }

  @Test("an admin route requires a key or a session; a change by session also requires the CSRF token")
  func security() {
    let admin = endpoint("a-a", ("GET", "/a"), ("POST", "/a"), access: .admin)
    #expect(operation(admin)["security"] == [["adminKey": []], ["bearer": []], ["session": []]])
    #expect(operation(admin, "post")["security"] == [["adminKey": []], ["bearer": []], ["session": [], "csrf": []]])
    #expect(operation(endpoint("a-a", ("GET", "/a")))["security"] == [])
    #expect(statuses(operation(admin)).isSuperset(of: [401, 403]))
  }

  @Test("lists the types, headers and statuses that the handler describes") func replies() {
    let output: JSON = ["type": "object"]
    let operation = operation(
      endpoint(
        "a-a", ("GET", "/a"), statuses: [200, 204, 503], types: ["application/json", "text/csv"],
        replyHeaders: ["properties": ["ETag": ["type": "string"]]], problems: [412], output: output))
    let responses = operation["responses"]
    #expect(statuses(operation).isSuperset(of: [200, 204, 400, 408, 412, 413, 414, 415, 417, 429, 431, 500, 502, 504]))
    #expect(!statuses(operation).contains(401) && !statuses(operation).contains(404))
    #expect(responses?["200"]?["content"]?["application/json"]?["schema"] == output)
    #expect(responses?["200"]?["content"]?["text/csv"]?["schema"] == ["type": "string"])
    #expect(responses?["200"]?["headers"]?["ETag"]?["schema"] == ["type": "string"])
    #expect(responses?["200"]?["headers"]?["X-Request-Id"] != nil && responses?["204"]?["content"] == nil)
    // The gateway may send a 503 of its own, which is a problem document.
    #expect(
      responses?["503"]?["content"]?.members?.map(\.key) == [
        "application/json", "text/csv", "application/problem+json",
      ]
    )
    #expect(responses?["412"] == ["$ref": "#/components/responses/Problem412"])
  }

  @Test("a route that takes forms lists the page and the redirect that a browser gets") func forms() {
    let input: JSON = ["type": "object", "properties": ["a": ["type": "string"]]]
    let form = endpoint("a-a", ("POST", "/a"), statuses: [201], problems: [422], input: input).takingForms
    let operation = operation(form, "post")
    let content = { (status: String) in operation["responses"]?[status]?["content"]?.members?.map(\.key) }
    #expect(
      operation["requestBody"]?["content"]?.members?.map(\.key) == [
        "application/json", "application/x-www-form-urlencoded", "multipart/form-data",
      ])
    #expect(content("201") == ["application/json", "text/html"] && content("303") == ["text/html"])
    #expect(operation["responses"]?["303"]?["headers"]?["Location"]?["required"] == true)
    for status in ["400", "403", "413", "415", "422", "429", "503"] {
      #expect(content(status) == ["application/problem+json", "text/html"])
    }
    #expect(operation["responses"]?["429"]?["headers"]?["Retry-After"] != nil)
  }

  @Test("defines every reply that it references") func references() {
    let document = self.document(of: [
      endpoint("a-a", ("GET", "/a/{id}"), access: .admin, problems: [409, 412, 422])
    ])
    let responses = document["components"]?["responses"]
    for member in document["paths"]?["/a/{id}"]?["get"]?["responses"]?.members ?? [] {
      guard let reference = member.value["$ref"]?.string else { continue }
      #expect(responses?[String(reference.split(separator: "/").last ?? "")] != nil)
    }
  }

  @Test(
    "drops an invalid schema and keeps the operation",
    arguments: [
      "text", 5, [], ["type": 5], ["type": "text"], ["type": []], ["properties": []], ["properties": ["a": 5]],
      ["items": ["minLength": -1]], ["anyOf": []], ["required": "a"], ["required": [5]], ["enum": []],
      ["$ref": "https://example.com/x"], ["allOf": [["$ref": "#/components/schemas/Problem"]]], ["$id": "x"],
      ["pattern": 5], ["uniqueItems": "yes"], ["minimum": "5"], ["description": ["a": "b"]], ["multipleOf": 0],
    ] as [JSON])
  func malformed(_ schema: JSON) {
    let operation = operation(
      endpoint(
        "a-a", ("POST", "/a"), query: ["properties": ["q": schema]], headers: schema, replyHeaders: schema,
        input: ["properties": ["a": schema]], output: schema), "post")
    #expect(operation["parameters"] == nil)
    #expect(operation["requestBody"]?["content"]?["application/json"]?["schema"] == [:])
    #expect(operation["responses"]?["200"]?["content"]?["application/json"]?["schema"] == [:])
  }

  @Test("drops patterns of foreign handlers, but not properties named pattern") func patterns() {
    let schema: JSON = [
      "properties": ["pattern": ["type": "string", "pattern": "("]], "anyOf": [["required": ["pattern"]]],
    ]
    #expect(operation(endpoint("lead-capture", ("GET", "/a"), output: schema)).text.contains(schema.text))
    let kept: JSON = ["properties": ["pattern": ["type": "string"]], "anyOf": [["required": ["pattern"]]]]
    #expect(operation(endpoint("a-a", ("GET", "/a"), output: schema)).text.contains(kept.text))
  }

  @Test("keeps a valid schema of at most 64 KiB whole") func validSchemas() {
    let schema: JSON = [
      "type": ["object", "null"], "description": "d",
      "properties": [
        "a": ["anyOf": [["type": "string", "minLength": 1], ["const": ""]]],
        "b": ["type": "array", "items": ["enum": [1, "1", nil]], "maxItems": 5, "uniqueItems": true], "c": true,
      ], "required": [], "additionalProperties": false, "x-own": 5,
    ]
    #expect(operation(endpoint("a-a", ("GET", "/a"), output: schema)).text.contains(schema.text))
    let large = schema.setting("description", .string(String(repeating: "a", count: 65_536)))
    #expect(operation(endpoint("a-a", ("GET", "/a"), output: large)).text.utf8.count < 8000)
  }

  @Test("lists no statuses of failed handlers for its own route") func ownStatuses() {
    let own = operation(endpoint("a-a", ("GET", "/a")), "get", "/api/openapi.json")
    #expect(statuses(own).isDisjoint(with: [401, 403, 404, 500, 502, 503, 504]) && statuses(own).contains(200))
  }
}

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

  @Test("has every route of an endpoint, itself, and no step") func routes() {
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

  @Test("is the same whatever the order of handlers with names of their own") func order() {
    let list = [endpoint("a-a", ("GET", "/a")), endpoint("b-b", ("GET", "/b"))]
    #expect(document(of: list) == document(of: list.reversed()))
  }

  @Test("gives an operation an id of its own beside one that has it") func takenID() {
    let document = self.document(of: [endpoint("openapi-show", ("GET", "/mine"))])
    #expect(document["paths"]?["/mine"]?["get"]?["operationId"] == "openapi-show")
    #expect(document["paths"]?["/api/openapi.json"]?["get"]?["operationId"] == "openapi-show-2")
  }

  @Test("two paths that differ in the names of parameters only are one") func shapes() {
    let document = self.document(of: [
      endpoint("a-get", ("GET", "/a/{one}")), endpoint("a-put", ("PUT", "/a/{two}")),
    ])
    #expect(document["paths"]?["/a/{one}"]?["put"]?["parameters"]?.array?.first?["name"] == "one")
    #expect(document["paths"]?["/a/{two}"] == nil)
  }

  @Test("an id is a UUID where the handler is ours") func ids() {
    func format(_ name: String) -> JSON? {
      let operation = operation(endpoint(name, ("GET", "/a/{id}")), "get", "/a/{id}")
      #expect(statuses(operation).contains(404))
      return operation["parameters"]?.array?.first?["schema"]?["format"]
    }
    #expect(format("lead-capture") == "uuid")
    #expect(format("their-own") == nil)
  }

  @Test("parameters come from the schemas of query and headers") func parameters() {
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

  @Test("a body is asked for where the input names a member") func bodies() {
    let input: JSON = ["type": "object", "properties": ["a": ["type": "string"]]]
    let post = operation(endpoint("a-a", ("POST", "/a"), input: input), "post")
    #expect(post["requestBody"] == ["required": true, "content": ["application/json": ["schema": input]]])
    #expect(operation(endpoint("a-a", ("POST", "/a"), input: ["type": "object"]), "post")["requestBody"] == nil)
    #expect(operation(endpoint("a-a", ("GET", "/a"), input: input))["requestBody"] == nil)
  }

  @Test("an admin route asks for a key or a session, and for its second half where it changes something")
  func security() {
    let admin = endpoint("a-a", ("GET", "/a"), ("POST", "/a"), access: .admin)
    #expect(operation(admin)["security"] == [["adminKey": []], ["bearer": []], ["session": []]])
    #expect(operation(admin, "post")["security"] == [["adminKey": []], ["bearer": []], ["session": [], "csrf": []]])
    #expect(operation(endpoint("a-a", ("GET", "/a")))["security"] == [])
    #expect(statuses(operation(admin)).isSuperset(of: [401, 403]))
  }

  @Test("replies have the types, headers and statuses that are described") func replies() {
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
    // The gateway has a 503 of its own.
    #expect(
      responses?["503"]?["content"]?.members?.map(\.key) == [
        "application/json", "text/csv", "application/problem+json",
      ]
    )
    #expect(responses?["412"] == ["$ref": "#/components/responses/Problem412"])
  }

  @Test("every reply that is referred to is there") func references() {
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
    "a schema that is none costs its own operation a detail",
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

  @Test("a pattern counts where the handler is ours; a member of that name is none") func patterns() {
    let schema: JSON = [
      "properties": ["pattern": ["type": "string", "pattern": "("]], "anyOf": [["required": ["pattern"]]],
    ]
    #expect(operation(endpoint("lead-capture", ("GET", "/a"), output: schema)).text.contains(schema.text))
    let kept: JSON = ["properties": ["pattern": ["type": "string"]], "anyOf": [["required": ["pattern"]]]]
    #expect(operation(endpoint("a-a", ("GET", "/a"), output: schema)).text.contains(kept.text))
  }

  @Test("a schema may use every word, and be as large as is useful") func sound() {
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

  @Test("a request that a process cannot spoil has no such status") func ownStatuses() {
    let own = operation(endpoint("a-a", ("GET", "/a")), "get", "/api/openapi.json")
    #expect(statuses(own).isDisjoint(with: [401, 403, 404, 500, 502, 503, 504]) && statuses(own).contains(200))
  }
}

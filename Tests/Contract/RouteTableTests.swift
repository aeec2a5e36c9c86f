import Testing

@testable import Contract

@Suite struct RouteTableTests {
  private let table: RouteTable<String>

  init() throws {
    table = try RouteTable([
      (.init("GET", "/"), "root"), (.init("GET", "/api/{id}"), "one"), (.init("GET", "/api/all"), "all"),
      (.init("POST", "/api/{id}/notes/{note}"), "note"), (.init("PATCH", "/api/{id}"), "change"),
    ])
  }

  private func target(_ method: String, _ path: String) throws -> String? {
    if case .found(let found) = table.match(method, try RequestPath(path)) { found.target } else { nil }
  }

  @Test(arguments: [
    ("GET", "/", "root"), ("GET", "/api/7", "one"), ("GET", "/api/all", "all"), ("HEAD", "/api/all", "all"),
    ("PATCH", "/api/7", "change"), ("POST", "/api/7/notes/8", "note"),
  ])
  func findsTheRoute(method: String, path: String, expected: String) throws {
    #expect(try target(method, path) == expected)
  }

  @Test(arguments: ["/api", "/api/", "//api/7", "/api/7/", "/API/all", "/api/7/notes", "/api/7/notes/", "/%61pi/all"])
  func findsNothing(path: String) throws {
    guard case .none = table.match("GET", try RequestPath(path)) else {
      Issue.record("\(path) has a route")
      return
    }
  }

  @Test func decodesParametersOnce() throws {
    guard case .found(let found) = table.match("POST", try RequestPath("/api/a%2520b/notes/%C3%A4")) else {
      Issue.record("no route")
      return
    }
    #expect(found.parameters == ["id": "a%20b", "note": "ä"])
  }

  @Test func namesTheMethodsOfAPath() throws {
    guard case .otherMethod(let allow) = table.match("DELETE", try RequestPath("/api/7")) else {
      Issue.record("DELETE has a route")
      return
    }
    #expect(allow == ["GET", "HEAD", "OPTIONS", "PATCH"])
  }

  @Test func anExactPathIsNotMatchedByAParameter() throws {
    guard case .otherMethod(let allow) = table.match("PATCH", try RequestPath("/api/all")) else {
      Issue.record("PATCH has a route")
      return
    }
    #expect(allow == ["GET", "HEAD", "OPTIONS"])
  }

  @Test(arguments: [("/a/{x}", "/a/{y}"), ("/a", "/a"), ("/a//b", "/c"), ("/a/{}", "/c"), ("/a{b}", "/c")])
  func rejectsInvalidTables(first: String, second: String) {
    #expect(throws: InvalidRoutes.self) {
      try RouteTable([(.init("GET", first), ""), (.init("GET", second), "")])
    }
  }
}

@Suite struct RequestTargetTests {
  @Test(arguments: [
    "", "*", "api", "/a%", "/a%2", "/a%zz", "/a%00", "/a%2Fb", "/a%5cb", "/%2e%2e/a", "/../a", "/./a", "/%c0%af",
    "/a\u{7F}",
    "/ä", "/a%0d%0a", "/a\\b", "/a#b", "/?a=%", "/?a=%00", "/?a=%ff", "example.com:80",
  ])
  func rejects(text: String) { #expect(throws: Problem.self) { try RequestTarget(text) } }

  @Test func readsAQuery() throws {
    let target = try RequestTarget("/a?x=1&y=%C3%A4+b&x=2&z&=&&w=a=b")
    #expect(target.rawQuery == "x=1&y=%C3%A4+b&x=2&z&=&&w=a=b")
    #expect(target.query == ["x": "1,2", "y": "ä b", "z": "", "": "", "w": "a=b"])
  }

  @Test func readsTheAbsoluteForm() throws {
    let target = try RequestTarget("http://example.com:80?x=1")
    #expect(target.path.raw == "/")
    #expect(target.authority == "example.com:80")
    #expect(target.rawQuery == "x=1")
  }
}

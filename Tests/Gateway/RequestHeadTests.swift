import Handler
import NIOHTTP1
import Testing

@testable import gateway

@Suite struct RequestHeadTests {
  private func head(
    _ fields: [(String, String)], uri: String = "/", version: HTTPVersion = .http1_1
  ) throws -> RequestHead {
    try RequestHead(HTTPRequestHead(version: version, method: .POST, uri: uri, headers: HTTPHeaders(fields)))
  }

  @Test(arguments: [
    [("x", "1")], [("host", "a"), ("Host", "a")], [("host", "a@b")], [("host", "a/b")], [("host", "a b")],
    [("host", "a:99999")], [("host", "a:+1")], [("host", "a"), ("content-length", "+5")],
    [("host", "a"), ("content-length", "")], [("host", "a"), ("content-length", "5,5")],
    [("host", "a"), ("content-length", "5"), ("content-length", "5")],
    [("host", "a"), ("content-length", "99999999999999999999")],
    [("host", "a"), ("content-length", "5"), ("transfer-encoding", "chunked")],
    [("host", "a"), ("transfer-encoding", "chunked, identity")], [("host", "a"), ("transfer-encoding", "gzip")],
    [("host", "a"), ("x", "a\u{1}b")], [("host", "a"), ("x", "\u{FFFD}")], [("host", "a"), ("x y", "b")],
  ])
  func refuses(fields: [(String, String)]) {
    #expect { try head(fields) } throws: { ($0 as? Problem)?.kind == .badInput }
  }

  @Test func knowsItsLimits() {
    let host = [("host", "a")]
    #expect { try head(host, uri: "/" + String(repeating: "a", count: 8200)) } throws: {
      ($0 as? Problem)?.kind == .targetTooLong
    }
    #expect { try head(host + [("x", String(repeating: "a", count: 16_400))]) } throws: {
      ($0 as? Problem)?.kind == .headersTooLarge
    }
    #expect { try head(host + Array(repeating: ("x", "a"), count: 100)) } throws: {
      ($0 as? Problem)?.kind == .headersTooLarge
    }
    #expect { try head(host + [("expect", "a miracle")]) } throws: { ($0 as? Problem)?.kind == .expectationFailed }
    #expect { try head([("transfer-encoding", "chunked")], version: .http1_0) } throws: {
      ($0 as? Problem)?.kind == .badInput
    }
  }

  @Test func passesOnWhatIsTheHandlers() throws {
    let fields = [
      ("Host", "example.com:80"), ("X-A", "1"), ("x-a", "2"), ("Proxy", "p"), ("X_A", "3"), ("TE", "trailers"),
      ("Connection", "close, X-Hop"), ("X-Hop", "4"), ("Content-Length", "3"),
    ]
    let head = try head(fields)
    #expect(head.headers == ["host": "example.com:80", "x-a": "1,2", "content-length": "3"])
    #expect(head.host == "example.com")
    #expect(head.bodyLength == 3)
    #expect(try self.head([], version: .http1_0).host == "")
    #expect(try self.head([("host", "[::1]:80")]).host == "[::1]")
  }
}

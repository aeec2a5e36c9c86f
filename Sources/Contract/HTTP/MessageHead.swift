/// The head of a request as a server has received it. `RequestHead` checks it.
package struct MessageHead: Sendable {
  /// The maximum number of header fields.
  package static let fieldLimit = 100

  package let method: String
  /// The request target, not decoded.
  package let target: String
  package let isHTTP10: Bool
  /// The header fields in their order, names in lower case.
  package let fields: [(name: String, value: String)]

  package init(method: String, target: String, isHTTP10: Bool, fields: [(name: String, value: String)]) {
    self.method = method
    self.target = target
    self.isHTTP10 = isHTTP10
    self.fields = fields.map { (name: $0.name.lowercased(), value: $0.value) }
  }

  /// Returns the values of a header in their order. The name must be in lower case.
  package subscript(name: String) -> [String] {
    fields.compactMap { field in field.name == name ? field.value : nil }
  }

  /// Returns the members of a header that is a list separated by commas, in lower case and without empty ones.
  func list(_ name: String) -> [String] {
    self[name].flatMap { $0.split(separator: ",") }
      .map { $0.split { $0 == " " || $0 == "\t" }.joined(separator: " ").lowercased() }.filter { !$0.isEmpty }
  }
}

extension MessageHead {
  /// Returns the header fields that a server has put into environment variables: `HTTP_X_REQUEST_ID` with the prefix
  /// `HTTP_` is `x-request-id`. Empty variables count as absent, because some servers set those of absent headers.
  ///
  /// Proxy is left out: programs take HTTP_PROXY for their own proxy (https://httpoxy.org). So are headers about the
  /// body and the connection, which the server has applied.
  static func fields(
    in environment: [String: String], prefix: String, without others: Set<String> = []
  ) -> [(name: String, value: String)] {
    let left: Set = ["proxy", "content-length", "transfer-encoding", "connection", "expect"]
    return environment.sorted { $0.key < $1.key }.compactMap { variable, value in
      guard variable.hasPrefix(prefix), !value.isEmpty else { return nil }
      let words = variable.dropFirst(prefix.count).split(separator: "_", omittingEmptySubsequences: false)
      let name = words.joined(separator: "-").lowercased()
      return left.contains(name) || others.contains(name) ? nil : (name: name, value: value)
    }
  }
}

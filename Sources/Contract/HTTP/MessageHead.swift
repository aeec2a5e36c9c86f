/// The head of a request as a server has received it. `RequestHead` checks it.
package struct MessageHead: Sendable {
  package let method: String
  /// The request target, not decoded.
  package let target: String
  package let isHTTP10: Bool
  /// The header fields in their order, names as received.
  package let fields: [(name: String, value: String)]

  package init(method: String, target: String, isHTTP10: Bool, fields: [(name: String, value: String)]) {
    self.method = method
    self.target = target
    self.isHTTP10 = isHTTP10
    self.fields = fields
  }

  /// Returns the values of a header in their order. The name must be in lower case.
  package subscript(name: String) -> [String] {
    fields.compactMap { field in field.name.lowercased() == name ? field.value : nil }
  }

  /// Returns the members of a header that is a list separated by commas, in lower case and without empty ones.
  func list(_ name: String) -> [String] {
    self[name].flatMap { $0.split(separator: ",") }
      .map { $0.split { $0 == " " || $0 == "\t" }.joined(separator: " ").lowercased() }.filter { !$0.isEmpty }
  }
}

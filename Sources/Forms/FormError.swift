/// An error in one field of a request.
package struct FieldError: Sendable, Equatable {
  /// The path of the field: `messages[3].id`. Empty for the request as a whole.
  package fileprivate(set) var path: String
  package let code: FieldCode
  private let arguments: [String: String]

  package init(_ code: FieldCode, at path: String = "", _ arguments: MessageArguments = [:]) {
    self.path = path
    self.code = code
    self.arguments = arguments.mapValues(\.description)
  }

  /// A sentence that names the field: `customerName is required`.
  package var message: String {
    MessageTemplate.fill(code.template, arguments.merging(["field": path.isEmpty ? "the body" : path]) { $1 })
  }
}

/// All errors of a request. Rules add to it; a form throws it.
package struct FormError: Error, Sendable, Equatable {
  package private(set) var fields: [FieldError]

  package init(fields: [FieldError] = []) { self.fields = fields }

  package var isEmpty: Bool { fields.isEmpty }

  /// Adds an error in the value that is being read, or in its field at `path`.
  package mutating func add(_ code: FieldCode, at path: String = "", _ arguments: MessageArguments = [:]) {
    fields.append(FieldError(code, at: path, arguments))
  }

  package mutating func add(_ other: FormError) { fields += other.fields }

  /// Adds an error in the value that is being read. Returns nil, for the rule to return.
  package mutating func refuse<Value>(_ code: FieldCode, _ arguments: MessageArguments = [:]) -> Value? {
    add(code, arguments)
    return nil
  }

  /// Reads a part of a value: a field, or the item `[3]` of a list. The part's name is prepended to the paths of its
  /// errors.
  mutating func within<Value>(_ part: @autoclosure () -> String, read: (inout FormError) -> Value?) -> Value? {
    let count = fields.count
    let value = read(&self)
    if fields.count == count { return value }
    let part = part()
    for index in count..<fields.count {
      let rest = fields[index].path
      fields[index].path = rest.isEmpty || rest.hasPrefix("[") ? part + rest : "\(part).\(rest)"
    }
    return value
  }
}

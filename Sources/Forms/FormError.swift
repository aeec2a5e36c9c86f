/// What is wrong with one field of a request.
package struct FieldError: Sendable, Equatable {
  /// Where the field stands: `messages[3].id`; empty for the request as a whole.
  package fileprivate(set) var path: String
  /// The end of a sentence that begins with the path: `is required`.
  package let message: String

  package init(path: String, message: String) {
    self.path = path
    self.message = message
  }
}

/// Everything that is wrong with a request, at once. Rules collect it, and a form throws it.
package struct FormError: Error, Sendable, Equatable {
  package private(set) var fields: [FieldError]

  package init(fields: [FieldError] = []) { self.fields = fields }

  package var isEmpty: Bool { fields.isEmpty }

  /// Adds an error of the value that is being read, or of the field at `path` in it.
  package mutating func add(_ message: String, at path: String = "") {
    fields.append(FieldError(path: path, message: message))
  }

  package mutating func add(_ other: FormError) { fields += other.fields }

  /// Adds an error of the value that is being read. The result is nil, for the rule to return.
  package mutating func refuse<Value>(_ message: String) -> Value? {
    add(message)
    return nil
  }

  /// Reads a part of a value: a field, or the item `[3]` of a list. Errors of the part get its name in front of their paths.
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

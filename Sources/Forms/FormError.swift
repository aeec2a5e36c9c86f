import Wire

/// An error in one field of a request.
package struct FieldError: Sendable, Equatable {
  /// The path of the field: `messages[3].id`. Empty for the request as a whole.
  package fileprivate(set) var path: String
  package let code: FieldCode
  private let arguments: [String: String]
  /// What the error does to the request.
  fileprivate var weight = Weight.error

  enum Weight: Sendable {
    /// The request is refused, unless the field around it is lenient.
    case error
    /// The request is refused in any case.
    case firm
    /// The request is stored, without a value or a part of one.
    case warning
  }

  package init(_ code: FieldCode, at path: String = "", _ arguments: MessageArguments = [:]) {
    self.path = path
    self.code = code
    self.arguments = arguments.mapValues(\.description)
  }

  /// A sentence that names the field: `customerName is required`.
  package var message: String {
    MessageTemplate.fill(code.template, arguments.merging(["field": path.isEmpty ? "the body" : path]) { $1 })
  }

  /// The JSON Schema of an error in a reply.
  package static let schema: JSON = [
    "type": "object", "required": ["path", "code", "message"],
    "properties": ["path": ["type": "string"], "code": ["type": "string"], "message": ["type": "string"]],
  ]
}

/// All errors of a request. Rules add to it; a form throws it.
package struct FormError: Error, Sendable, Equatable {
  package private(set) var fields: [FieldError]
  /// The values that were set aside, by their paths. A path is empty for the value that is being read.
  private(set) var aside: [JSON.Member] = []

  package init(fields: [FieldError] = []) { self.fields = fields }

  package var isEmpty: Bool { fields.isEmpty }

  /// True if the request is to be refused.
  var refuses: Bool { refuses(since: 0) }

  /// True if an error that was added after the first `count` refuses the request.
  func refuses(since count: Int) -> Bool { fields[count...].contains { $0.weight != .warning } }

  /// The error that is thrown: warnings are listed too, because the client has to correct the request anyway.
  var thrown: FormError {
    FormError(
      fields: fields.map { field in
        var field = field
        field.weight = .error
        return field
      })
  }

  /// Adds an error in the value that is being read, or in its field at `path`.
  package mutating func add(_ code: FieldCode, at path: String = "", _ arguments: MessageArguments = [:]) {
    fields.append(FieldError(code, at: path, arguments))
  }

  /// Adds a warning about the value that is being read, which is used nevertheless. `aside` is what could not be used.
  package mutating func warn(_ code: FieldCode, _ arguments: MessageArguments = [:], aside: JSON? = nil) {
    var warning = FieldError(code, arguments)
    warning.weight = .warning
    fields.append(warning)
    if let aside { self.aside.append(JSON.Member("", aside)) }
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
    let (count, asideCount) = (fields.count, aside.count)
    let value = read(&self)
    if fields.count == count { return value }
    let part = part()
    let path = { (rest: String) in rest.isEmpty || rest.hasPrefix("[") ? part + rest : "\(part).\(rest)" }
    for index in count..<fields.count { fields[index].path = path(fields[index].path) }
    for index in asideCount..<aside.count { aside[index].key = path(aside[index].key) }
    return value
  }

  /// Makes the errors among `range` refuse the request whatever is around them.
  mutating func confirm(_ range: Range<Int>) {
    for index in range where fields[index].weight == .error { fields[index].weight = .firm }
  }

  /// Turns the errors among `range`, all of them in the field `name` with this value, into warnings, and sets the value
  /// aside: of a list only the items with errors.
  mutating func setAside(_ range: Range<Int>, of name: String, _ value: JSON) {
    for index in range where fields[index].weight == .error {
      fields[index].weight = .warning
      var (path, unusable) = (name, value)
      let rest = fields[index].path.dropFirst(name.count)
      if rest.first == "[", let end = rest.firstIndex(of: "]"), let item = Int(strict: rest[..<end].dropFirst()),
        let items = value.array, items.indices ~= item
      {
        (path, unusable) = ("\(name)[\(item)]", items[item])
      }
      if !aside.contains(where: { $0.key == path }) { aside.append(JSON.Member(path, Self.kept(unusable))) }
    }
  }

  /// Returns a value as it is set aside: a large or nested one as the beginning of its text, because it is shown to
  /// people only.
  private static func kept(_ json: JSON) -> JSON {
    if json.depth <= 2, json.storedSize <= 2000 { return json }
    return .string(String((json.string ?? json.text).unicodeScalars.prefix(2000)))
  }
}

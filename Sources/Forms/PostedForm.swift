/// The fields of a form that a browser has posted, in their order. Names may repeat.
package struct PostedForm: Sendable, Equatable {
  package struct Field: Sendable, Equatable {
    package let name: String
    package let value: String

    package init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// The maximum number of fields.
  package static let fieldLimit = 100
  /// The maximum length of a name in bytes, decoded.
  package static let nameLimit = 200

  package private(set) var fields: [Field] = []

  package init() {}

  /// The value of a name: the last one that is not blank, because pages put a hidden default before an input.
  package subscript(name: String) -> String? {
    let values = fields.filter { $0.name == name }.map(\.value)
    return values.last { !trimmed($0).isEmpty } ?? values.last
  }

  /// Adds a field. Throws if there are too many, if the name is too long, or if a NUL is in it, which no database holds.
  mutating func add(name: some Collection<UInt8>, value: some Collection<UInt8>) throws(PostedFormError) {
    guard fields.count < Self.fieldLimit else {
      throw PostedFormError(reason: "it has more than \(Self.fieldLimit) fields")
    }
    guard name.count <= Self.nameLimit else {
      throw PostedFormError(reason: "the name of a field is longer than \(Self.nameLimit) bytes")
    }
    guard !name.contains(0), !value.contains(0) else {
      throw PostedFormError(reason: "it contains a NUL character")
    }
    // Broken characters become U+FFFD, as in the WHATWG standards: a name with one is worth more than no lead.
    fields.append(Field(String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self)))
  }
}

/// Why a body is not a form.
package struct PostedFormError: Error, Sendable, Equatable {
  /// Completes the sentence `the form is malformed: …`. Contains nothing of the body.
  package let reason: String
}

/// The media type of a form, from a Content-Type header.
package enum FormType: Sendable, Equatable {
  case urlEncoded
  case multipart(boundary: [UInt8])

  /// Nil for any other media type. Throws for a form type that cannot be read: with another charset, or without a
  /// boundary as RFC 2046 §5.1.1 allows it.
  package init?(contentType: String) throws(PostedFormError) {
    let parts = HeaderParameters(contentType)
    switch parts.value.lowercased() {
    case "application/x-www-form-urlencoded":
      let charset = parts["charset"]?.lowercased() ?? "utf-8"
      guard charset == "utf-8" || charset == "utf8" else {
        throw PostedFormError(reason: "its charset is not UTF-8")
      }
      self = .urlEncoded
    case "multipart/form-data":
      guard let boundary = parts["boundary"].map({ Array($0.utf8) }), Self.isBoundary(boundary) else {
        throw PostedFormError(reason: "its boundary is missing, or not 1 to 70 of the allowed characters")
      }
      self = .multipart(boundary: boundary)
    default: return nil
    }
  }

  /// True if a Content-Type names a form type, whether or not it can be read.
  package static func isNamed(in contentType: String) -> Bool {
    let type = HeaderParameters(contentType).value.lowercased()
    return type == "application/x-www-form-urlencoded" || type == "multipart/form-data"
  }

  /// 1 to 70 characters of `bchars`; the last is no space.
  private static func isBoundary(_ bytes: [UInt8]) -> Bool {
    1...70 ~= bytes.count && bytes.last != 0x20
      && bytes.allSatisfy {
        0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || "'()+_,-./:=? ".utf8.contains($0)
      }
  }
}

extension PostedForm {
  /// Reads a body of this type. Takes memory in proportion to the body.
  package init(_ body: [UInt8], as type: FormType) throws(PostedFormError) {
    switch type {
    case .urlEncoded: try self.init(urlEncoded: body)
    case .multipart(let boundary): try self.init(multipart: body, boundary: boundary)
    }
  }
}

import Wire

extension Rule where Value == UUIDText {
  package static var uuid: Rule {
    Rule(["type": "string", "format": "uuid"], else: .invalidUUID, parse: UUIDText.init)
  }
}

extension Rule where Value == EmailAddress {
  package static var email: Rule {
    address(
      ["type": "string", "maxLength": 254, "format": "email"], else: .invalidEmail, parse: EmailAddress.init)
  }
}

extension Rule where Value == WebAddress {
  /// An http or https URL with a host that all URL parsers read in the same way. Other characters that a URL must not
  /// contain are percent-encoded.
  package static var webAddress: Rule {
    let inner = "([0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?"
    let octet = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
    let name = "([0-9A-Za-z_]\(inner)\\.)*[A-Za-z_]\(inner)"
    let host = "(\(name)|(\(octet)\\.){3}\(octet)|\\[[0-9A-Fa-f.:]{0,22}:[0-9A-Fa-f.:]{1,22}\\])"
    let port = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
    let rest = "[/?#][\\s\\S]*"
    let pattern = "^ *[Hh][Tt][Tt][Pp][Ss]?://\(host)(:(\(port)))?(\(rest))? *$"
    return address(
      ["type": "string", "maxLength": 2000, "pattern": .string(pattern)], else: .invalidURL,
      parse: WebAddress.encoding)
  }
}

extension Rule {
  /// An address, trimmed. Removing anything inside it could turn it into a different address.
  fileprivate static func address(
    _ schema: JSON, else code: FieldCode, parse: @escaping @Sendable (String) -> Value?
  ) -> Rule {
    Rule(schema) { json, error in
      guard let text = json.string else { return error.refuse(.notAString) }
      return parse(trimmed(text)) ?? error.refuse(code)
    }
  }
}

import Forms
import Wire

/// A phone number or an email address by which a person is found.
package enum PersonContact: FormValue {
  case phone(PhoneNumber)
  case email(EmailAddress)

  /// Nil for a text that is neither. A text with several numbers is neither, so that no other person is found.
  package init?(_ text: String) {
    if let email = EmailAddress(text) {
      self = .email(email)
    } else if let phone = PhoneNumber(text) {
      self = .phone(phone)
    } else {
      return nil
    }
  }

  /// The member of an SQL function's argument: `phone` or `email`.
  package var document: JSON {
    switch self {
    case .phone(let number): ["phone": .string(number.e164)]
    case .email(let address): ["email": .string(address.text)]
    }
  }
}

extension Rule where Value == PersonContact {
  package static var contact: Rule {
    Rule(
      [
        "description": "A phone number in any common format, or an email address",
        "anyOf": [
          ["type": "string", "minLength": 5, "maxLength": 100, "format": "phone"],
          ["type": "string", "maxLength": 254, "format": "email"],
        ],
      ]
    ) { json, error in
      guard let text = json.string else { return error.refuse(.notAString) }
      return text.utf8.count <= 1000
        ? PersonContact(trimmed(text)) ?? error.refuse(.invalidContact)
        : error.refuse(.invalidContact)
    }
  }
}

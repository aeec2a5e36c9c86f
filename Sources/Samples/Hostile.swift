import Wire

/// A way to make a body hostile: with text that must be stored unchanged and do no harm, or with an error that must be
/// rejected.
struct Trick: Sendable {
  let name: String
  let isRefused: Bool
  /// The forms to which it applies.
  let forms: [SampleForm]
  let spoil: @Sendable (JSON, SampleForm, inout SplitMix64) -> JSON

  /// Returns a random trick for `form`: half of them are texts, half are errors.
  static func draw(for form: SampleForm, _ random: inout SplitMix64) -> Trick {
    random.pick((random.chance(50) ? texts : errors).filter { $0.forms.contains(form) })
  }
}

extension Trick {
  /// Hostile text that must be treated as plain text: it is stored without control characters and bidi overrides, and
  /// otherwise shown unchanged.
  static let texts: [Trick] = HostileText.all.map { name, texts in
    Trick(name: name, isRefused: false, forms: SampleForm.allCases) { body, form, random in
      var body = body.setting(random.pick(form.freeTexts), .string(random.pick(texts)))
      if form == .lead, random.chance(50) {
        let message: JSON = [
          "id": .string(random.uuid()), "sender": "user", "messageText": .string(random.pick(texts)),
        ]
        body = body.setting("messages", .array((body["messages"]?.array ?? []) + [message]))
      }
      // A newsletter body has no name.
      guard form != .newsletter, random.chance(50) else { return body }
      return body.setting("customerName", .string(random.pick(texts)))
    }
  }

  /// Errors that the handler must reject with 400.
  static let errors: [Trick] = [
    error("missing", in: SampleForm.allCases) { body, form, _ in body.removing(form.requiredField) },
    error("unreachable", in: [.lead, .contact, .inquiry, .sell]) { body, _, _ in
      body.removing("customerPhone").removing("customerEmail")
    },
    error("blank-name", in: named) { body, _, random in
      body.setting(
        "customerName", .string(random.pick(["", " \t\n ", "\u{200B}\u{2060}\u{FEFF}", "\u{202E}\u{202C}"])))
    },
    error("long-name", in: named) { body, _, random in
      body.setting("customerName", .string(String(repeating: random.pick(["A", "ن", "🏠"]), count: 201)))
    },
    error("bad-phone", in: named) { body, _, random in
      let phones = [
        "call me", "050-CALL-NOW", "0570000000 next 5", "++971570000000", "1234567890123456", "+0570000000",
        "0570000000\r\nBcc: all@example.org", "0570000000' or '1'='1", "=CALL(0570000000)",
      ]
      // Beside an email address an unusable phone number would be set aside.
      return body.removing("customerEmail").setting("customerPhone", .string(random.pick(phones)))
    },
    error("header-in-mail", in: SampleForm.allCases) { body, form, random in
      let mails = [
        "sara@example.com\r\nBcc: all@example.org", "sara@example.com\nSubject: You won",
        "sara@example.com\r\n\r\nHello",
        "sara@example.com>\r\nRCPT TO:<omar@example.org>", "<sara@example.com> NOTIFY=SUCCESS",
        "sara@example.com%0d%0aBcc:",
        "=?utf-8?q?sara?=@example.com", "sara@example.com, omar@example.org",
        "sara@example.com\u{2028}Bcc: all@example.org",
      ]
      // Beside a phone number an unusable email address would be set aside.
      return body.removing("customerPhone").setting(form.mailField, .string(random.pick(mails)))
    },
    error("wrong-type", in: SampleForm.allCases) { body, form, random in
      body.setting(form.requiredField, random.pick([42, true, ["Sara"], ["first": "Sara"]]))
    },
    error("too-deep", in: SampleForm.allCases) { body, _, _ in
      body.setting("deep", (1...40).reduce(1) { nested, _ in .array([nested]) })
    },
    error("repeated-key", in: SampleForm.allCases) { body, form, _ in
      .object((body.members ?? []) + [JSON.Member(form.requiredField, "Somebody Else")])
    },
    error("nul", in: SampleForm.allCases) { body, _, _ in body.setting("before\u{0}after", 1) },
    error("huge-number", in: SampleForm.allCases) { body, _, random in
      body.setting("age", .number(random.pick(["1e999", "-1e400", String(repeating: "9", count: 400)])))
    },
    error("phone-number-of-a-wrong-type", in: [.lead]) { body, _, random in
      body.setting("customerPhone", random.pick([true, .number("57.5"), ["0570000000"]]))
    },
    error("id-of-a-wrong-type", in: [.lead]) { body, _, random in
      body.setting("conversationId", random.pick([1, true, [], [:]]))
    },
    error("bad-id", in: [.lead]) { body, _, random in
      body.setting(
        "conversationId", .string(random.pick(["1", "' OR 1=1 --", "00000000-0000-0000-0000-00000000000g"])))
    },
    error("bad-message", in: [.lead]) { body, _, random in
      let message: JSON = random.pick([
        ["id": " ", "messageText": "Hello"], ["id": true, "messageText": "Hello"], ["id": [1], "messageText": "Hello"],
      ])
      return body.setting("messages", .array((body["messages"]?.array ?? []) + [message]))
    },
    error("broken-message-id", in: [.lead]) { body, _, _ in
      let message: JSON = ["id": "broken \u{FFFD}", "messageText": "Hello"]
      return body.setting("messages", .array((body["messages"]?.array ?? []) + [message]))
    },
    error("long-message-id", in: [.lead]) { body, _, _ in
      let message: JSON = ["id": .string(String(repeating: "i", count: 201)), "messageText": "Hello"]
      return body.setting("messages", .array((body["messages"]?.array ?? []) + [message]))
    },
  ]

  private static let named: [SampleForm] = [.lead, .contact, .inquiry, .sell]

  private static func error(
    _ name: String, in forms: [SampleForm], _ spoil: @escaping @Sendable (JSON, SampleForm, inout SplitMix64) -> JSON
  ) -> Trick { Trick(name: name, isRefused: true, forms: forms, spoil: spoil) }
}

extension SampleForm {
  fileprivate var requiredField: String { self == .newsletter ? "email" : "customerName" }

  fileprivate var mailField: String { self == .newsletter ? "email" : "customerEmail" }

  /// The free-text fields.
  fileprivate var freeTexts: [String] {
    switch self {
    case .lead: ["notes", "budget", "propertyType", "preferredArea"]
    case .contact: ["message", "subject"]
    case .inquiry: ["message", "propertyTitle"]
    case .sell: ["propertyDescription", "propertyAddress"]
    case .newsletter: ["source"]
    }
  }
}

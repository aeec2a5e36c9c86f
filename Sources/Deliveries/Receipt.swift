import Wire

/// The mail to a visitor whose request has been stored. It consists of the agency's words only: nothing that the visitor
/// has typed is in it, not even the name, so that nobody can use it to send words of their own to others.
package struct Receipt: Sendable, Equatable {
  /// The type of the event whose delivery is a receipt.
  package static let eventType = "lead.receipt"

  /// A piece of a sentence.
  package enum Part: Sendable, Equatable {
    case words(String)
    /// A name, number or address, which may be written in the other direction than the sentence.
    case value(String)

    package var text: String {
      switch self {
      case .words(let text), .value(let text): text
      }
    }
  }

  package let language: VisitorLanguage
  /// One line.
  package let subject: String
  package let heading: String
  package let paragraphs: [[Part]]

  /// - Parameters:
  ///   - source: the source of the lead, which decides how the request is named.
  ///   - conversation: the lead, whose first eight digits are the reference.
  package init(source: String?, language: VisitorLanguage, conversation: UUIDText, agency: Agency) {
    let words = ReceiptWords.of(language)
    let values = [
      "agency": agency.name, "reference": Self.reference(of: conversation), "phone": agency.phone ?? "",
      "email": agency.email ?? "",
    ]
    self.language = language
    subject = Self.parts(words.subject, values).map(\.text).joined()
    heading = words.heading
    let request = source.flatMap { words.requests[$0] } ?? words.request
    paragraphs = [
      Self.parts(words.received, values, request: request), Self.parts(words.reference, values),
      Self.parts(words.reach(agency), values), Self.parts(words.stranger, values),
    ]
  }

  /// The receipt of a delivery. Nil if the delivery is none, or has no lead.
  package init?(for delivery: Delivery, agency: Agency) {
    guard delivery.isReceipt, let conversation = delivery.conversationID else { return nil }
    self.init(
      source: delivery.payload["source"]?.string,
      language: delivery.payload["language"]?.string.flatMap(VisitorLanguage.init) ?? .english,
      conversation: conversation,
      agency: agency)
  }

  /// `0F3E1A2B`: what the visitor can name.
  package static func reference(of conversation: UUIDText) -> String { conversation.text.prefix(8).uppercased() }

  /// Divides a sentence at its `{names}`. The request is in the language of the sentence.
  private static func parts(_ sentence: String, _ values: [String: String], request: String = "") -> [Part] {
    var parts: [Part] = []
    var rest = Substring(sentence)
    while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
      if open > rest.startIndex { parts.append(.words(String(rest[..<open]))) }
      let name = String(rest[rest.index(after: open)..<close])
      parts.append(name == "request" ? .words(request) : .value(values[name] ?? ""))
      rest = rest[rest.index(after: close)...]
    }
    if !rest.isEmpty { parts.append(.words(String(rest))) }
    return parts
  }
}

extension Delivery {
  /// True if it goes to a visitor, whose address no setting names. It is sent at most once, and a refusal of its address
  /// says nothing about the channel.
  package var isReceipt: Bool { eventType == Receipt.eventType }
}

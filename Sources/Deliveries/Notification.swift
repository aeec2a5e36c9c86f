import Forms
import Wire

/// What a notification says, before any channel gives it its form: plain text as people typed it, not escaped.
package struct Notice: Sendable, Equatable {
  package struct Field: Sendable, Equatable {
    package let label: String
    package let value: String
    /// May run over several lines: a message, a description.
    package let isLong: Bool

    package init(_ label: String, _ value: String, isLong: Bool = false) {
      self.label = label
      self.value = value
      self.isLong = isLong
    }
  }

  package struct Link: Sendable, Equatable {
    package let label: String
    package let url: String

    package init(_ label: String, _ url: String) {
      self.label = label
      self.url = url
    }
  }

  /// With its emoji: `🤖 New Chatbot Conversation`.
  package let header: String
  /// The headline of a mail: `🤖 New Chatbot Lead: Sara`. One line.
  package let subject: String
  /// What a phone's lock screen shows: `🔔 New Lead: Sara`. One line.
  package let fallback: String
  package let fields: [Field]
  /// http and https only.
  package private(set) var links: [Link]
  /// The customer's mail address as it came; whoever uses it in a header checks it first.
  package let customerEmail: String?
  /// Goes behind header and fallback where a repeat cannot be told from the first: ` (possible repeat)`, or nothing.
  package private(set) var mark = ""

  /// The wording for one event. `frontendURL` is the setting FRONTEND_URL: without it, or with one that is no web
  /// address, there is no link to the admin panel. An event or a source that has no wording of its own gets a plain
  /// notice that names it.
  package init(eventType: String, conversationID: UUIDText?, payload: JSON, frontendURL: String?) {
    let wording = Wording.of(eventType: eventType, source: payload["source"]?.string)
    let name = Wording.line("customerName")(payload)
    let tail = name.map { ": \($0)" } ?? ""
    header = wording.header
    subject = wording.subject + tail
    fallback = eventType == "lead.created" ? "🔔 New Lead: \(name ?? "N/A")" : wording.header + tail
    fields = wording.rows.compactMap { row in
      (row.value(payload) ?? (row.mayBeAbsent ? nil : "N/A")).map { Field(row.label, $0, isLong: row.isLong) }
    }
    var links: [Link] = []
    if wording.showsProperty, let address = payload["propertyUrl"]?.string.flatMap(WebAddress.init) {
      links.append(Link("View Property", address.text))
    }
    if let label = wording.adminLabel, let id = conversationID, let base = frontendURL.flatMap(WebAddress.init) {
      let root = base.text.reversed().drop { $0 == "/" }.reversed()
      links.append(Link(label, "\(String(root))/admin/conversations/\(id.text)"))
    }
    self.links = links
    customerEmail = payload["customerEmail"]?.string
  }

  /// The same notice with no other links than these.
  package func keeping(_ links: [Link]) -> Notice {
    var notice = self
    notice.links = links
    return notice
  }

  /// The wording for a delivery.
  package init(for line: DeliveryLine, frontendURL: String?) {
    self.init(
      eventType: line.eventType, conversationID: line.conversationID, payload: line.payload, frontendURL: frontendURL)
    if line.isPossibleRepeat { mark = " (possible repeat)" }
  }
}

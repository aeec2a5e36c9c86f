import Wire

/// What a notification says, before any channel gives it its form: plain text as people typed it, not escaped.
package struct Notification: Sendable, Equatable {
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

  /// What is said of one event. `frontendURL` is the setting FRONTEND_URL: without it, or with one that is no web
  /// address, there is no link to the admin panel. An event or a source that has no template of its own gets a plain
  /// notification that names it.
  package init(eventType: String, conversationID: UUIDText?, payload: JSON, frontendURL: String?) {
    let template = NotificationTemplate.of(eventType: eventType, source: payload["source"]?.string)
    let name = NotificationTemplate.line("customerName")(payload)
    let tail = name.map { ": \($0)" } ?? ""
    header = template.header
    subject = template.subject + tail
    fallback = eventType == "lead.created" ? "🔔 New Lead: \(name ?? "N/A")" : template.header + tail
    fields = template.rows.compactMap { row in
      (row.value(payload) ?? (row.mayBeAbsent ? nil : "N/A")).map { Field(row.label, $0, isLong: row.isLong) }
    }
    var links: [Link] = []
    if template.showsProperty, let address = payload["propertyUrl"]?.string.flatMap(WebAddress.init) {
      links.append(Link("View Property", address.text))
    }
    if let label = template.adminLabel, let id = conversationID, let base = frontendURL.flatMap(WebAddress.init) {
      let root = base.text.reversed().drop { $0 == "/" }.reversed()
      links.append(Link(label, "\(String(root))/admin/conversations/\(id.text)"))
    }
    self.links = links
    customerEmail = payload["customerEmail"]?.string
  }

  /// The same notification with no other links than these.
  package func keeping(_ links: [Link]) -> Notification {
    var notification = self
    notification.links = links
    return notification
  }

  /// What a delivery says.
  package init(for delivery: Delivery, frontendURL: String?) {
    self.init(
      eventType: delivery.eventType, conversationID: delivery.conversationID, payload: delivery.payload,
      frontendURL: frontendURL)
    if delivery.isPossibleRepeat { mark = " (possible repeat)" }
  }
}

import Wire

/// The content of a notification before a channel formats it: plain text as people typed it, not escaped.
package struct Notification: Sendable, Equatable {
  package struct Field: Sendable, Equatable {
    package let label: String
    package let value: String
    /// True if the value may have several lines: a message, a description.
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

  /// The header, with its emoji: `🤖 New Chatbot Conversation`.
  package let header: String
  /// The subject of an email: `🤖 New Chatbot Lead: Sara`. One line.
  package let subject: String
  /// The text for a phone's lock screen: `🔔 New Lead: Sara`. One line.
  package let fallback: String
  package let fields: [Field]
  /// Only http and https.
  package private(set) var links: [Link]
  /// The customer's email address as it was sent. The caller must check it before using it in a header.
  package let customerEmail: String?
  /// A suffix for header and fallback if the message may be a repeat: ` (possible repeat)`; otherwise empty.
  package private(set) var mark = ""

  /// The notification for an event. `frontendURL` is the setting FRONTEND_URL: if it is nil or not a web address, there
  /// is no link to the admin panel. An event or a source without its own template gets a plain notification that names
  /// it. Times are shown on `clock`, that of the agency.
  package init(
    eventType: String, conversationID: UUIDText?, payload: JSON, frontendURL: String?, clock: LocalClock
  ) {
    let template = NotificationTemplate.of(eventType: eventType, payload: payload)
    let name = template.topic(payload)
    let tail = name.map { ": \($0)" } ?? ""
    header = template.header
    subject = template.subject + tail
    fallback = eventType == "lead.created" ? "🔔 New Lead: \(name ?? "N/A")" : template.header + tail
    fields = template.rows.compactMap { row in
      (row.value(payload, clock) ?? (row.mayBeAbsent ? nil : "N/A")).map { Field(row.label, $0, isLong: row.isLong) }
    }
    var links: [Link] = []
    if template.showsProperty, let address = payload["propertyUrl"]?.string.flatMap(WebAddress.init) {
      links.append(Link("View Property", address.text))
    }
    let page = conversationID.map { "/admin/conversations/\($0.text)" } ?? template.listPath
    if let label = template.adminLabel, let page, let base = frontendURL.flatMap(WebAddress.init) {
      let root = base.text.reversed().drop { $0 == "/" }.reversed()
      links.append(Link(label, String(root) + page))
    }
    self.links = links
    customerEmail = payload["customerEmail"]?.string
  }

  /// Returns the notification with only these links.
  package func keeping(_ links: [Link]) -> Notification {
    var notification = self
    notification.links = links
    return notification
  }

  /// The notification for a delivery.
  package init(for delivery: Delivery, frontendURL: String?, clock: LocalClock) {
    self.init(
      eventType: delivery.eventType, conversationID: delivery.conversationID, payload: delivery.payload,
      frontendURL: frontendURL, clock: clock)
    if delivery.isPossibleRepeat { mark = " (possible repeat)" }
  }
}

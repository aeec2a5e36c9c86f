import Wire

/// The template for one source of events: the header and subject, and which facts are shown in which order.
struct NotificationTemplate: Sendable {
  let header: String
  /// The email's subject, without the name that follows it.
  let subject: String
  var rows: [Row]
  /// The label of the button to the conversation; nil for events without a conversation.
  var adminLabel: String? = "View in Admin Panel"
  var showsProperty = false
  /// What follows the subject: usually the customer's name.
  var topic: @Sendable (JSON) -> String? = NotificationTemplate.line("customerName")
  /// The page for an event that concerns many conversations, below FRONTEND_URL.
  var listPath: String?

  /// Returns the template for an event. SLA events are chosen by type alone: their source is that of the lead.
  static func of(eventType: String, payload: JSON) -> NotificationTemplate {
    switch (eventType, payload["source"]?.string) {
    case ("sla.warning", _): payload["sumsUp"] == nil ? sla("⚠️ SLA Warning") : slaSummary("⚠️ SLA Warning")
    case ("sla.breached", _) where payload["waiting"] != nil: waiting
    case ("sla.breached", _): payload["sumsUp"] == nil ? sla("🚨 SLA BREACHED") : slaSummary("🚨 SLA BREACHED")
    case ("lead.follow_up_due", _):
      payload["sumsUp"] == nil ? reminder(of: payload["reminderType"]?.string) : reminderSummary
    case ("agent.digest", _): digest
    case ("newsletter.subscribed", _): newsletter
    case ("channel.test", _): channelTest
    case ("lead.updated", _):
      payload["reopenedFrom"] == nil && payload["contactBefore"] != nil ? newContact : reopened.withSetAside
    case ("lead.assigned", _): payload["sumsUp"] == nil ? assigned(payload) : assignments
    case ("lead.qualified", _): qualified(as: payload["leadQuality"]?.string)
    case ("lead.created", "chatbot"): chatbot.withSetAside
    case ("lead.created", "contact_form"): contactForm.withSetAside
    case ("lead.created", "property_inquiry"): propertyInquiry.withSetAside
    case ("lead.created", "sell_submission"): sellSubmission.withSetAside
    case ("lead.created", _): plain("🔔 New Lead")
    default: plain("🔔 Event \(eventType)")
    }
  }

  /// A copy that also shows the values that could not be used, so that an agent can still use them.
  private var withSetAside: NotificationTemplate {
    var template = self
    template.rows.append(.long("Could Not Be Used", "setAside", mayBeAbsent: true))
    return template
  }

  private static let person: [Row] = [
    Row("Name", "customerName"), Row("Email", "customerEmail"), Row("Phone", phone),
  ]

  private static let chatbot = NotificationTemplate(
    header: "🤖 New Chatbot Conversation", subject: "🤖 New Chatbot Lead",
    rows: [
      Row("Name", "customerName"), Row("Intent", "intent"), Row("Email", "customerEmail"),
      Row("Phone", phone), Row("Budget", "budget"), Row("Property Type", "propertyType"),
      Row("Area", "preferredArea"), Row("Lead Score", score), Row("Duration", mayBeAbsent: true, duration),
    ])

  private static let contactForm = NotificationTemplate(
    header: "📬 New Contact Form Message", subject: "📬 New Contact Form Message",
    rows: [
      Row("Name", "customerName"), Row("Department", "department"), Row("Email", "customerEmail"),
      Row("Phone", phone), Row("Subject", "subject"), .long("Message", "message"),
    ])

  private static let propertyInquiry = NotificationTemplate(
    header: "🏠 New Property Inquiry", subject: "🏠 New Property Inquiry",
    rows: [
      Row("Name", "customerName"), Row("Property", "propertyTitle"),
      Row("Property at", mayBeAbsent: true, propertyHost),
      Row("Email", "customerEmail"), Row("Phone", phone), .long("Message", "message"),
    ], adminLabel: "View in Admin", showsProperty: true)

  private static let sellSubmission = NotificationTemplate(
    header: "🏷️ New Valuation Request", subject: "🏷️ New Valuation Request",
    rows: person + [
      Row("Type", "propertyType"), Row("Address", "propertyAddress"), Row("Expected Price", "expectedPrice"),
      .long("Description", "propertyDescription"), Row("Urgency", "urgency"),
    ])

  /// A lead that has been answered has another phone number or email address.
  private static let newContact = NotificationTemplate(
    header: "📇 New Contact Details", subject: "📇 New Contact Details",
    rows: person + [
      Row("Was", mayBeAbsent: true, contactBefore), Row("Conversation", "conversation"),
      .long("Message", "message", mayBeAbsent: true),
    ])

  private static let reopened = NotificationTemplate(
    header: "🔁 Customer Wrote Again", subject: "🔁 Customer Wrote Again",
    rows: person + [
      Row("Was", mayBeAbsent: true, line("reopenedFrom")), Row("Lead Score", score),
      .long("Message", "message", mayBeAbsent: true),
    ])

  /// The customer continued the conversation, and the lead's quality has risen.
  private static func qualified(as quality: String?) -> NotificationTemplate {
    let header = quality == "hot" ? "🔥 Lead Is Now Hot" : "📈 Lead Is Now Warm"
    return NotificationTemplate(
      header: header, subject: header,
      rows: person + [
        Row("Lead Score", score), Row("Was", mayBeAbsent: true, scoreBefore),
        Row("Intent", mayBeAbsent: true, line("intent")), Row("Budget", mayBeAbsent: true, line("budget")),
        Row("Property Type", mayBeAbsent: true, line("propertyType")),
        Row("Area", mayBeAbsent: true, line("preferredArea")), Row("Conversation", "conversation"),
        .long("Message", "message", mayBeAbsent: true),
      ])
  }

  private static let newsletter = NotificationTemplate(
    header: "📧 New Newsletter Subscription", subject: "📧 New Newsletter Subscription",
    rows: [
      Row("Email") { line("email")($0) ?? line("customerEmail")($0) }, Row("Source", "source"),
      Row("Subscribed At", moment("subscribedAt")),
    ], adminLabel: nil)

  private static let channelTest = NotificationTemplate(
    header: "🔧 Test Message", subject: "Test message from Leadpipe",
    rows: [
      Row("Message") { _ in "This channel works: new leads arrive here." }, Row("Asked for by", "by"),
      Row("Requested at", moment("askedAt")),
    ], adminLabel: nil)

  private static func sla(_ header: String) -> NotificationTemplate {
    NotificationTemplate(
      header: header, subject: header,
      rows: [
        Row("Name", "customerName"), Row("Phone", phone), Row("Score", score),
        Row("Deadline", moment("slaResponseDeadline")), Row("Time", mayBeAbsent: true, remaining),
        Row("Agent", "assignedAgentName"),
      ])
  }

  /// Of several conversations that have no notification of their own.
  private static func slaSummary(_ header: String) -> NotificationTemplate {
    NotificationTemplate(
      header: header, subject: header,
      rows: [
        Row("Breached", mayBeAbsent: true, conversations("breached")),
        Row("Near Their Deadline", mayBeAbsent: true, conversations("warned")),
        Row("Oldest Deadline", mayBeAbsent: true, moment("oldestDeadline")),
        Row("Where to Look") { _ in "The SLA list has every open conversation, earliest deadline first." },
      ], topic: conversations("sumsUp"), listPath: "/admin/inbox")
  }

  private static func plain(_ header: String) -> NotificationTemplate {
    NotificationTemplate(
      header: header, subject: header, rows: person + [Row("Source", mayBeAbsent: true, line("source"))])
  }
}

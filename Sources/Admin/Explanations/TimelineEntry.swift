import Deliveries
import Leads
import Store
import Wire

/// A timeline entry worded for people. Entries that the system wrote are reworded; entries that people wrote stay as
/// they are.
package enum TimelineEntry {
  /// Returns the entry in its wording for people.
  /// - Parameter entry: as `list_timeline` returns it.
  package static func presented(_ entry: JSON) -> JSON {
    switch entry["type"]?.string {
    case "notification_sent": notification(entry)
    case "created" where entry["title"]?.string == "Lead Created": arrival(entry)
    case "note_added" where entry["title"]?.string == "Lead Updated": addition(entry)
    default: entry
    }
  }

  private static let sources = [
    "chatbot": "the chatbot", "contact_form": "the contact form", "property_inquiry": "a property inquiry",
    "sell_submission": "a valuation request",
  ]

  private static func arrival(_ entry: JSON) -> JSON {
    let prefix = "Captured from "
    let presented = entry.setting("title", "New lead").setting("actorType", "customer")
    guard let text = entry["description"]?.string, text.hasPrefix(prefix) else { return presented }
    let source = String(text.dropFirst(prefix.count))
    return presented.setting("description", .string("From " + (sources[source] ?? source)))
  }

  private static func addition(_ entry: JSON) -> JSON {
    let count = entry["metadata"]?["messagesAdded"]?.integer ?? 0
    let title = count == 0 ? "Customer updated the lead" : "Customer sent more messages"
    let words = count == 0 ? "No new messages" : count == 1 ? "1 new message" : "\(count) new messages"
    let lines = [words, entry["description"]?.string].compactMap { $0 }
    return entry.setting("title", .string(title)).setting("description", .string(lines.joined(separator: "\n")))
  }

  /// Returns how people refer to a channel: `on Slack`.
  package static func ways(_ channel: String) -> String {
    ChannelKind.named(channel)?.way ?? "via \(channel)"
  }

  private static let receipts = [
    "Receipt sent": "The visitor got a receipt", "Receipt failed": "The visitor got no receipt",
    "Receipt may not have been sent": "The visitor may not have got a receipt",
    "No receipt for the visitor": "The visitor got no receipt",
  ]

  private static func notification(_ entry: JSON) -> JSON {
    let title = entry["title"]?.string ?? ""
    if let words = receipts[title] { return entry.setting("title", .string(words)) }
    guard let channel = entry["metadata"]?["channel"]?.string else { return entry }
    let way = ways(channel)
    // An entry with a name was requested by a person.
    let actor: JSON = entry["actorName"]?.string == nil ? entry["actorType"] ?? "system" : "agent"
    let (words, description): (String, JSON) =
      if title.hasPrefix("Notification sent ") {
        ("The team was notified \(way)", entry["description"] ?? .null)
      } else if title.hasPrefix("Notification failed ") {
        ("The team could not be notified \(way)", entry["description"] ?? .null)
      } else if title.hasPrefix("Notification parked") {
        (
          "The team may not have been notified \(way)",
          "It is unknown whether the message arrived. It is not sent again unless someone requests it."
        )
      } else if title.hasPrefix("Notification to be tried again ") {
        ("Another attempt to notify the team \(way)", entry["description"] ?? .null)
      } else if title.hasPrefix("Notification to be sent once more ") {
        ("The team will be notified once more \(way)", entry["description"] ?? .null)
      } else {
        (title, entry["description"] ?? .null)
      }
    return entry.setting("title", .string(words)).setting("description", description).setting("actorType", actor)
  }
}

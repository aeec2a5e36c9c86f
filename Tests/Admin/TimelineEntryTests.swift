import Admin
import Leads
import Testing
import Wire

@Suite("Timeline entries as people read them") struct TimelineEntryTests {
  @Test(
    "rewrites the titles of notification entries",
    arguments: [
      ("Notification sent via slack", "slack", "The team was notified on Slack"),
      ("Notification failed via email", "email", "The team could not be notified by email"),
      ("Notification parked: telegram", "telegram", "The team may not have been notified on Telegram"),
      ("Notification to be tried again via slack", "slack", "Another attempt to notify the team on Slack"),
      ("Notification to be sent once more via email", "email", "The team will be notified once more by email"),
      ("Something else via push", "push", "Something else via push"),
      ("Notification sent via push", "push", "The team was notified via push"),
    ])
  func notifications(_ title: String, _ channel: String, _ words: String) {
    let entry: JSON = [
      "type": "notification_sent", "title": .string(title), "description": nil, "actorType": "system", "actorName": nil,
      "metadata": ["channel": .string(channel)],
    ]
    #expect(TimelineEntry.presented(entry)["title"]?.string == words)
    #expect(TimelineEntry.presented(entry)["actorType"] == "system")
    #expect(TimelineEntry.presented(entry.setting("actorName", "Omar"))["actorType"] == "agent")
  }

  @Test("keeps the reason of a failure and removes commands for operators") func descriptions() {
    let failed: JSON = [
      "type": "notification_sent", "title": "Notification failed via slack", "description": "HTTP 400 invalid_payload",
      "metadata": ["channel": "slack"],
    ]
    #expect(TimelineEntry.presented(failed)["description"] == "HTTP 400 invalid_payload")
    let parked = failed.setting("title", "Notification parked: slack").setting(
      "description", "`leadpipe delivery retry x`")
    #expect(TimelineEntry.presented(parked)["description"]?.string?.contains("leadpipe") == false)
  }

  @Test(
    "names the source of a lead",
    arguments: [
      ("Captured from contact_form", "From the contact form"), ("Captured from chatbot", "From the chatbot"),
      ("Captured from elsewhere", "From elsewhere"), ("Met at a fair", "Met at a fair"),
    ])
  func arrivals(_ description: String, _ words: String) {
    let entry = TimelineEntry.presented([
      "type": "created", "title": "Lead Created", "description": .string(description),
    ])
    #expect(entry["title"] == "New lead" && entry["description"]?.string == words && entry["actorType"] == "customer")
  }

  @Test(
    "a customer continues the conversation",
    arguments: [
      (0, "Customer updated the lead", "No new messages"), (1, "Customer sent more messages", "1 new message"),
      (3, "Customer sent more messages", "3 new messages"),
    ])
  func additions(_ count: Int, _ title: String, _ words: String) {
    let presented = TimelineEntry.presented([
      "type": "note_added", "title": "Lead Updated", "metadata": ["messagesAdded": JSON(count), "proven": true],
    ])
    #expect(presented["title"]?.string == title && presented["description"]?.string == words)
  }

  @Test("shows what an unproven request said and was not stored") func notStored() {
    let presented = TimelineEntry.presented([
      "type": "note_added", "title": "Lead Updated", "description": "Not stored:\nnotes: Call me", "metadata": [:],
    ])
    #expect(presented["description"] == "No new messages\nNot stored:\nnotes: Call me")
  }

  @Test("leaves entries that people wrote unchanged") func people() {
    for entry: JSON in [
      ["type": "note_added", "title": "Note added", "description": "Lead Updated"],
      ["type": "created", "title": "Created by hand"],
      ["type": "notification_sent", "title": "Notification sent via slack"],
    ] { #expect(TimelineEntry.presented(entry) == entry) }
  }
}

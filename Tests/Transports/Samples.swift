import Deliveries
import Wire

/// Deliveries and notifications that the tests share.
enum Sample {
  static let deliveryID = "11111111-1111-4111-8111-111111111111"
  static let conversation = UUIDText("22222222-2222-4222-8222-222222222222")
  static let clock = LocalClock(zone: "Asia/Dubai") { _ in 4 * 3600 }
  static let name = "Zoë سارة 🏝️"

  static let chatbot: JSON = [
    "source": "chatbot", "customerName": .string(name), "customerPhone": "+971501234567",
    "customerEmail": "sara@example.com", "intent": "buy", "budget": "AED 2M", "propertyType": "villa",
    "preferredArea": "Palm Jumeirah", "leadScore": 85, "leadQuality": "hot", "durationMinutes": 12,
  ]

  static func line(
    _ channel: String, _ recipient: String = "default", payload: JSON = chatbot, eventType: String = "lead.created"
  ) -> JSON {
    [
      "id": .string(deliveryID), "fence": 7, "attempt": 1, "channel": .string(channel),
      "recipient": .string(recipient), "eventType": .string(eventType), "eventAt": "2026-11-22T21:00:00.000Z",
      "conversationId": JSON(conversation?.text), "payload": payload, "leftAlone": [1, .number("2.50")],
    ]
  }

  static func notification(_ payload: JSON = chatbot, eventType: String = "lead.created", frontend: String? = nil)
    -> Notification
  {
    Notification(
      eventType: eventType, conversationID: conversation, payload: payload, frontendURL: frontend, clock: clock)
  }

  static func named(_ name: String) -> Notification { notification(chatbot.setting("customerName", .string(name))) }

  /// Values that attackers and faulty programs put into a field to break later processing.
  static let hostile = [
    "<!channel> <@U123> <https://evil.example|bank>", "a & b < c > d \"e\" 'f'", "`x` *y* _z_ ~q~",
    "</b><a href=\"tg://x\">",
    "a@b>\r\nRCPT TO:<x@y>", "Bcc: x@y.example", "=?utf-8?B?QmNjOiB4?=", "\r\n.\r\nMAIL FROM:<x>",
    "<img src=x onerror=alert(1)>",
    "\u{202E}drowssap\u{2066}", "\u{0}\u{1B}[31m", "a\u{2028}b\u{85}c", "%0d%0aBcc: x",
    String(repeating: "&", count: 9000),
    String(repeating: "👩‍👩‍👧‍👦", count: 3000), String(repeating: "مرحبا ", count: 2000), "nil", "😀",
  ]
}

import Wire

/// The providers that the sink stands in for: `channel` in the file and on the page, and the members of the fault plan.
enum SinkProvider: String, Sendable, CaseIterable { case slack, telegram, email, resend }

/// A message that a provider accepted: a line of the sink's file.
struct SinkMessage: Sendable, Equatable {
  let time: Instant
  let provider: SinkProvider
  /// The webhook's path, the chat, or the email addresses.
  let recipient: String
  let subject: String?
  /// The payload for Slack and Telegram, the text of an email.
  let body: JSON
  /// The Message-ID or Resend's id of an email, the number of a Telegram message.
  let id: String?
  /// The fault because of which the sender got no reply, although the message was accepted.
  var unanswered: String?

  var document: JSON {
    let document: JSON = [
      "time": .string(time.iso8601), "channel": .string(provider.rawValue), "recipient": .string(recipient),
      "subject": JSON(subject), "id": JSON(id), "unanswered": JSON(unanswered), "body": body,
    ]
    return document.withoutNulls
  }

  /// The text that people would see, as lines.
  var lines: [String] {
    switch provider {
    case .email, .resend: (body.string ?? "").split(separator: "\n").map(String.init)
    case .telegram: (body["text"]?.string ?? "").split(separator: "\n").map { MarkUp.plain(String($0)) }
    case .slack: Self.texts(body["blocks"] ?? body).map(MarkUp.plain)
    }
  }

  private static func texts(_ json: JSON) -> [String] {
    switch json {
    case .array(let items): items.flatMap(texts)
    case .object(let members):
      members.flatMap { member in
        if member.key == "text" || member.key == "url", let text = member.value.string { return [text] }
        return texts(member.value)
      }
    default: []
    }
  }
}

/// The subset of HTML that Telegram and Slack use.
enum MarkUp {
  /// Returns the text without tags and with entities resolved. Its length is what counts for Telegram's limit.
  static func plain(_ text: String) -> String {
    var out = ""
    var isTag = false
    for scalar in text.unicodeScalars {
      if scalar == "<" {
        isTag = true
      } else if scalar == ">" {
        isTag = false
      } else if !isTag {
        out.unicodeScalars.append(scalar)
      }
    }
    for (entity, sign) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")] {
      out = out.split(separator: entity, omittingEmptySubsequences: false).joined(separator: sign)
    }
    return out
  }
}

import Wire

/// The page that lists what arrived, the newest first. Nothing in it runs: no script, no style of its own.
enum SinkPage {
  static let policy =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

  static let style = """
    body { font-family: system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
    article { border: 1px solid #ccc; border-radius: 6px; padding: .5rem 1rem; margin: 1rem 0 }
    header { color: #666; font-size: .85rem }
    p { margin: .2rem 0; overflow-wrap: anywhere; white-space: pre-wrap }

    """

  static func html(_ messages: [SinkMessage], total: Int, counts: SinkCounts = SinkCounts()) -> String {
    let articles = messages.reversed().map { message in
      let subject = message.subject.map { "<h2><bdi>\(MarkUp.escape(shown($0, in: message)))</bdi></h2>\n" } ?? ""
      let lines = message.lines.map { "<p><bdi>\(MarkUp.escape($0))</bdi></p>" }.joined(separator: "\n")
      return """
        <article>
        <header>\(message.time.iso8601) · \(message.provider.rawValue) · <bdi>\(MarkUp.escape(message.recipient))</bdi></header>
        \(subject)\(lines)
        </article>
        """
    }
    let count = total == 1 ? "1 message" : "\(total) messages"
    let note = total > messages.count ? " (the last \(messages.count) are shown)" : ""
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head><meta charset="utf-8"><title>Leadpipe sink</title><link rel="stylesheet" href="/style.css">
      <meta http-equiv="refresh" content="5"></head>
      <body>
      <h1>What the channels delivered</h1>
      <p>\(count)\(note). What comes here goes nowhere else.
      <a href="/messages">As NDJSON</a></p>
      \(faults(counts))
      \(articles.joined(separator: "\n"))
      </body>
      </html>

      """
  }

  /// What was refused or failed, by kind; nothing where all went well.
  private static func faults(_ counts: SinkCounts) -> String {
    SinkProvider.allCases.flatMap { provider in
      counts.rows(provider).map { row in
        "<p>\(provider.rawValue): \(row.count) × <bdi>\(MarkUp.escape(row.kind))</bdi></p>"
      }
    }.joined(separator: "\n")
  }

  private static func shown(_ subject: String, in message: SinkMessage) -> String {
    message.provider == .slack ? MarkUp.plain(subject) : subject
  }
}

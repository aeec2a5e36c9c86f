import Wire

/// The page that lists received messages, newest first. It contains no script and no inline style.
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
      let subject = message.subject.map { "<h2><bdi>\(HTML.escaped(shown($0, in: message)))</bdi></h2>\n" } ?? ""
      let lines = message.lines.map { "<p><bdi>\(HTML.escaped($0))</bdi></p>" }.joined(separator: "\n")
      return """
        <article>
        <header>\(message.time.iso8601) · \(message.provider.rawValue) · <bdi>\(HTML.escaped(message.recipient))</bdi></header>
        \(subject)\(lines)
        </article>
        """
    }
    let count = total == 1 ? "1 message" : "\(total) messages"
    let note = total > messages.count ? " (showing the last \(messages.count))" : ""
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head><meta charset="utf-8"><title>Leadpipe sink</title><link rel="stylesheet" href="/style.css">
      <meta http-equiv="refresh" content="5"></head>
      <body>
      <h1>Delivered messages</h1>
      <p>\(count)\(note). Messages are only stored here and not sent to any provider.
      <a href="/messages">View as NDJSON</a></p>
      \(faults(counts))
      \(articles.joined(separator: "\n"))
      </body>
      </html>

      """
  }

  /// Returns the counts of faults by kind; empty if there are none.
  private static func faults(_ counts: SinkCounts) -> String {
    SinkProvider.allCases.flatMap { provider in
      counts.rows(provider).map { row in
        "<p>\(provider.rawValue): \(row.count) × <bdi>\(HTML.escaped(row.kind))</bdi></p>"
      }
    }.joined(separator: "\n")
  }

  private static func shown(_ subject: String, in message: SinkMessage) -> String {
    message.provider == .slack ? MarkUp.plain(subject) : subject
  }
}

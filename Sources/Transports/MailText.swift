import Deliveries
import Wire

/// A notification as the two parts of an email.
enum MailText {
  static func text(_ notification: Notification) -> String {
    let fields = notification.fields.map { field in
      field.isLong ? "\(field.label):\n\(field.value)" : "\(field.label): \(Escaping.isolated(field.value))"
    }
    let links = notification.links.map { "\($0.label): \($0.url)" }
    return ([notification.header, ""] + fields + (links.isEmpty ? [] : [""] + links)).joined(separator: "\n") + "\n"
  }

  static func html(_ notification: Notification) -> String {
    let rows = notification.fields.map { field in
      let value = HTML.escaped(field.value).split(separator: "\n", omittingEmptySubsequences: false)
      return """
        <tr><th align="left" valign="top" style="padding:4px 16px 4px 0">\(HTML.escaped(field.label))</th>\
        <td style="padding:4px 0"><bdi>\(value.joined(separator: "<br>"))</bdi></td></tr>
        """
    }
    let links = notification.links.map { "<p><a href=\"\(HTML.escaped($0.url))\">\(HTML.escaped($0.label))</a></p>" }
    return """
      <!DOCTYPE html>
      <html lang="en"><head><meta charset="utf-8"><title>\(HTML.escaped(notification.header))</title></head>
      <body style="font-family:sans-serif">
      <h2>\(HTML.escaped(notification.header))</h2>
      <table>
      \(rows.joined(separator: "\n"))
      </table>
      \(links.joined(separator: "\n"))
      </body></html>

      """
  }

  /// Returns the bytes with CR LF at the end of every line: the canonical form for encoding (RFC 2049 §4).
  static func canonical(_ text: String) -> [UInt8] {
    var out: [UInt8] = []
    for byte in text.utf8 where byte != 0x0D {
      if byte == 0x0A { out.append(0x0D) }
      out.append(byte)
    }
    return out
  }
}

import Contract
import Glibc
import Wire

/// The received messages: all in the file, the last 500 in memory. The stand-ins run here, one request at a time.
actor SinkBox {
  static let kept = 500
  private let descriptor: Int32
  private var messages: [SinkMessage] = []
  private var total = 0
  private var counts = SinkCounts()
  private let slack = SlackStandIn()
  private var telegram = TelegramStandIn()
  private var mail = MailStandIn()
  private var resend = ResendStandIn()

  /// Opens `file` for appending. Only its owner can read it, because it contains customers' messages.
  init(file: String) throws(Problem) {
    descriptor = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw Problem.internalError("the sink cannot write \(file): \(String(cString: strerror(errno)))")
    }
  }

  deinit { close(descriptor) }

  func slack(_ body: [UInt8], path: String, unanswered: String? = nil) -> SinkReply {
    let verdict = slack.reply(to: body, path: path, at: .now)
    if verdict.message == nil { count(.slack, String(decoding: verdict.reply.body, as: UTF8.self)) }
    return keep(verdict.message, unanswered) ? verdict.reply : SinkReply(500, "text/plain", Array("rollup_error".utf8))
  }

  func telegram(_ body: [UInt8], unanswered: String? = nil) -> SinkReply {
    let verdict = telegram.reply(to: body, at: .now)
    if verdict.message == nil {
      count(.telegram, (try? JSON(reading: verdict.reply.body))?["description"]?.string ?? "refused")
    }
    let broken = #"{"ok":false,"error_code":500,"description":"Internal Server Error"}"#
    return keep(verdict.message, unanswered) ? verdict.reply : SinkReply(500, "application/json", Array(broken.utf8))
  }

  func resend(_ body: [UInt8], authorization: String?, key: String?, unanswered: String? = nil) -> SinkReply {
    let verdict = resend.reply(to: body, authorization: authorization, key: key, at: .now)
    if verdict.reply.status != 200 {
      count(.resend, (try? JSON(reading: verdict.reply.body))?["name"]?.string ?? "refused")
    }
    return keep(verdict.message, unanswered) ? verdict.reply : ResendStandIn.fault(500, "internal_server_error")
  }

  /// Stores an email and returns the reply line.
  func mail(_ received: ReceivedMail, unanswered: String? = nil) -> String {
    let (line, message) = mail.reply(to: received, at: .now)
    return keep(message, unanswered) ? line : "451 4.3.0 The mail could not be kept\r\n"
  }

  /// Counts a request or email with a fault of this kind.
  func count(_ provider: SinkProvider, _ kind: String) { counts.add(provider, kind) }

  var page: String { SinkPage.html(messages, total: total, counts: counts) }

  var countDocument: JSON { counts.document }

  var ndjson: [UInt8] { messages.flatMap { $0.document.bytes + [0x0A] } }

  /// Stores the message. Returns false if the file cannot be written; the message then counts as not received.
  private func keep(_ message: SinkMessage?, _ unanswered: String?) -> Bool {
    guard var message else { return true }
    message.unanswered = unanswered
    var rest = (message.document.bytes + [0x0A])[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 { rest = rest.dropFirst(count) } else if errno != EINTR { return false }
    }
    messages.append(message)
    total += 1
    counts.take(message.provider)
    if messages.count > Self.kept { messages.removeFirst() }
    return true
  }
}

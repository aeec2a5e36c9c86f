import Testing
import Wire

@testable import Sink

@Suite("The sink's stand-ins for providers")
struct StandInTests {
  static let now = Instant(milliseconds: 1_000)

  @Test(
    "Slack accepts an object with text or blocks",
    arguments: [
      (#"{"text":"x"}"#, 200, "ok"), (#"{"blocks":[]}"#, 200, "ok"), ("[]", 400, "invalid_payload"),
      ("x", 400, "invalid_payload"),
      ("{}", 400, "no_text"), (#"{"blocks":[{"type":"header"}]}"#, 400, "invalid_blocks"),
      (#"{"blocks":[{"type":"section","fields":[]}]}"#, 400, "invalid_blocks"),
      (#"{"blocks":[{"type":"section","text":{"type":"plain_text","text":"x"}}]}"#, 200, "ok"),
    ])
  func slack(body: String, status: Int, text: String) {
    let verdict = SlackStandIn().reply(to: Array(body.utf8), path: "/services/x", at: Self.now)
    #expect(verdict.reply.status == status && verdict.reply.body == Array(text.utf8))
    #expect((verdict.message != nil) == (status == 200))
  }

  @Test(
    "Telegram rejects what the real Telegram rejects",
    arguments: [
      (#"{"chat_id":1,"text":"x"}"#, nil), (#"{"chat_id":"@abcde","text":"<b></b>"}"#, nil),
      (#"{"chat_id":1,"text":"<b> </b>","parse_mode":"HTML"}"#, "Bad Request: message text is empty"),
      (#"{"chat_id":1,"text":""}"#, "Bad Request: message text is empty"),
      (#"{"chat_id":1,"text":"a < b","parse_mode":"HTML"}"#, "Bad Request: can't parse entities: Unclosed start tag"),
      (
        #"{"chat_id":1,"text":"<b>x</i>","parse_mode":"HTML"}"#, "Bad Request: can't parse entities: Unexpected end tag"
      ),
      (#"{"chat_id":1,"text":"a & b","parse_mode":"HTML"}"#, "Bad Request: can't parse entities: Unexpected ampersand"),
      (
        #"{"chat_id":1,"text":"<b>x","parse_mode":"HTML"}"#,
        "Bad Request: can't parse entities: Can't find end tag corresponding to start tag \"b\""
      ),
      (
        #"{"chat_id":1,"text":"<img src=x>","parse_mode":"HTML"}"#,
        "Bad Request: can't parse entities: Unsupported start tag \"img\""
      ), (#"{"chat_id":1,"text":"a < b"}"#, nil),
      (#"{"chat_id":1,"text":"<a href=\"https://x.example\">&lt;&#39;</a>","parse_mode":"HTML"}"#, nil),
      (#"{"text":"x"}"#, "Bad Request: chat_id is empty"),
    ] as [(String, String?)])
  func telegram(body: String, error: String?) throws {
    var telegram = TelegramStandIn()
    let verdict = telegram.reply(to: Array(body.utf8), at: Self.now)
    let reply = try JSON(reading: verdict.reply.body)
    #expect(reply["ok"] == .bool(error == nil) && reply["description"]?.string == error)
    #expect(verdict.reply.status == (error == nil ? 200 : 400))
    #expect(reply["result"]?["message_id"]?.integer == (error == nil ? 1 : nil))
  }

  @Test("Telegram limits the text without its tags, in UTF-16 units", arguments: [(4096, 200), (4097, 400)])
  func telegramLength(count: Int, status: Int) {
    var telegram = TelegramStandIn()
    let text = "<b>" + String(repeating: "&amp;", count: count) + "</b>"
    let body: JSON = ["chat_id": 1, "text": .string(text), "parse_mode": "HTML"]
    #expect(telegram.reply(to: body.bytes, at: Self.now).reply.status == status)
  }

  @Test("reads the subject, the parts and the encodings of an email")
  func mail() {
    let text = """
      Subject: =?UTF-8?B?8J+UlCA=?=\r
       =?utf-8?Q?Zo=C3=AB_x?= plain\r
      Content-Type: multipart/alternative;\r
       boundary="b1"\r
      \r
      preamble\r
      --b1\r
      Content-Type: text/html\r
      \r
      <p>no</p>\r
      --b1\r
      Content-Type: text/plain; charset=utf-8\r
      Content-Transfer-Encoding: quoted-printable\r
      \r
      Zo=C3=AB=\r
       yes\r
      --b1--\r

      """
    let reader = MailReader(Array(text.utf8))
    #expect(reader.subject == "🔔 Zoë x plain")
    #expect(reader.text == "Zoë yes\n")
    #expect(MailReader([]).text.isEmpty)
  }

  @Test("the page escapes text")
  func page() {
    let body: JSON = [
      "blocks": [["type": "header", "text": ["type": "plain_text", "text": "a &lt;script&gt; &amp;amp; b"]]]
    ]
    let message = SinkMessage(time: Self.now, provider: .slack, recipient: "<i>", subject: nil, body: body, id: nil)
    let html = SinkPage.html([message], total: 700)
    #expect(html.contains("<p><bdi>a &lt;script&gt; &amp;amp; b</bdi></p>"))
    #expect(html.contains("<bdi>&lt;i&gt;</bdi>") && html.contains("700 messages (showing the last 1)"))
    #expect(!html.contains("<script") && !html.contains("style="))
  }
}

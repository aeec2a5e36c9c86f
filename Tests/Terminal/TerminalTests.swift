import Terminal
import Testing

@Suite("Tables") struct TableTests {
  @Test("aligns columns and has no trailing blanks") func aligned() {
    #expect(
      Table(["ID", "STATE", "NAME"], [["1", "waiting", "a"], ["22", "ok", ""]]).lines() == [
        "ID  STATE    NAME", "1   waiting  a", "22  ok",
      ])
  }

  @Test("wraps the last column under itself") func wraps() {
    let text = "one two three four five six seven eight nine ten"
    let lines = Table(["ID", "TEXT"], [[String(repeating: "x", count: 70), text]]).lines()
    #expect(lines.count == 3)
    #expect(
      lines[1].hasSuffix("x  one two three four five six")
        && lines[2].hasPrefix(String(repeating: " ", count: 72) + "seven"))
  }

  @Test("puts the last column below the row if there is no room") func below() {
    let lines = Table(["ID", "REASON"], [[String(repeating: "x", count: 90), "a longer reason"], ["y", "r"]]).lines()
    #expect(lines.count == 4 && lines[2] == "    a longer reason")
    #expect(lines[3].hasPrefix("y ") && lines[3].hasSuffix(" r"))
    let full = Table(["ID", "REASON"], [[String(repeating: "x", count: 100), "a reason"], ["y", "-"]]).lines()
    #expect(full.suffix(2) == ["    a reason", "y"])
  }

  @Test("never exceeds 100 columns and keeps the whole last column", arguments: [1, 3, 8, 12])
  func fits(columns: Int) {
    let titles = (0..<columns).map { "TITLE \($0)" }
    let long = String(repeating: "word ", count: 60) + String(repeating: "ж", count: 250)
    for text in ["short", long, "", String(repeating: "a", count: 99)] {
      let rows = [titles.map { _ in text }, titles.map { $0 }, titles.map { _ in "x" }]
      let lines = Table(titles, rows).lines()
      #expect(lines.allSatisfy { $0.unicodeScalars.count <= 100 }, "\(lines)")
      #expect(lines.joined().filter { $0 == "ж" }.count >= text.filter { $0 == "ж" }.count)
    }
  }

  @Test(
    "counts the columns of a terminal, not characters",
    arguments: [
      ("José", 4), ("Jose\u{301}", 4), ("王小明", 6), ("محمد", 4), ("مُحَمَّد", 4), ("🏡", 2), ("🇦🇪", 2), ("한국", 4), ("ﾊﾝ", 2),
      ("ハン", 4), ("a\u{200B}b\u{200F}", 2), ("", 0),
    ])
  func wide(text: String, right: Int) { #expect(columns(text) == right) }

  @Test("aligns and wraps wide characters") func alignsWide() {
    let rows = [["王小明", "x"], ["Jose\u{301}", "y"], ["🏡🏡", "z"]]
    #expect(Table(["AGENT", "NAME"], rows).lines() == ["AGENT   NAME", "王小明  x", "José    y", "🏡🏡    z"])
    let long = String(repeating: "王", count: 120)
    let lines = Table(["AGENT", "N", "NAME"], [[long, "1", long], ["a", "2", "b"]]).lines()
    #expect(lines.allSatisfy { columns($0) <= 100 }, "\(lines)")
    #expect(lines.joined().filter { $0 == "王" }.count >= 120)
    #expect(wrapped(long, to: 25).map(columns) == Array(repeating: 24, count: 10))
  }

  @Test("colours do not change the layout") func painted() {
    let rows = [["1", "waiting"], ["2", "given-up"]]
    let plain = Table(["ID", "STATE"], rows).lines()
    let painted = Table(["ID", "STATE"], rows).lines { text, _, _ in "<\(text)>" }
    #expect(painted.map { $0.filter { $0 != "<" && $0 != ">" } } == plain)
  }
}

@Suite("Colours") struct PaintTests {
  @Test("colours states only if they are on") func states() {
    #expect(Paint(isOn: true).state("given-up") == "\u{1B}[31mgiven-up\u{1B}[0m")
    #expect(Paint(isOn: true).state("paused (config)").hasPrefix("\u{1B}[31m"))
    #expect(Paint(isOn: true).state("new") == "new")
    #expect(Paint(isOn: false).state("given-up") == "given-up")
    #expect(Paint(isOn: false).bold("ID") == "ID")
  }
}

@Suite("Suggestions") struct SpellingTests {
  private let commands = [
    "up", "gateway", "worker", "migrate", "rollback", "invoke", "routes", "delivery", "lead", "key",
  ]

  @Test(
    "names the most similar word",
    arguments: [
      ("led", "lead"), ("laed", "lead"), ("leads", "lead"), ("delivry", "delivery"), ("dleivery", "delivery"),
      ("route", "routes"), ("Worker", "worker"), ("wroker", "worker"), ("pu", "up"), ("mig", "migrate"),
      ("keys", "key"),
    ])
  func near(word: String, right: String) { #expect(Spelling.nearest(word, among: commands) == right) }

  @Test("suggests nothing for other words", arguments: ["fly", "xyz", "", "production", "q"])
  func far(word: String) { #expect(Spelling.nearest(word, among: commands) == nil) }

  @Test("writes a hint") func hint() {
    #expect(Spelling.hint("led", among: commands) == "; did you mean lead?")
    #expect(Spelling.hint("fly", among: commands) == "")
  }
}

@Suite("Short ids") struct IDPrefixTests {
  private let id = "2180db52-7a1c-4f0e-9d3b-0123456789ab"

  @Test("accepts the first digits of an id") func accepts() {
    #expect(IDPrefix("2180")?.digits == "2180")
    #expect(IDPrefix("2180DB52-7a")?.digits == "2180db527a")
    #expect(IDPrefix.shown(id) == "2180db527a1c4f0e" && IDPrefix.shown("") == "")
    #expect(IDPrefix("2180db52")?.id == nil)
    #expect(IDPrefix(id)?.id == id)
    #expect(IDPrefix(id.uppercased())?.id == id)
    #expect(IDPrefix(id.filter { $0 != "-" })?.id == id)
  }

  @Test(
    "refuses anything else",
    arguments: ["", "7", "218", "218g", "no-uuid", "2180 db52", "٢١٨٠", "2180db52-7a1c-4f0e-9d3b-0123456789abc"])
  func refuses(text: String) { #expect(IDPrefix(text) == nil) }
}

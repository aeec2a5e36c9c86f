import Forms
import Testing
import Wire

private func fault(_ rule: Form.Rule, _ value: JSON) -> String? {
  do { _ = try Form([.optional("field", rule)]).check(["field": value]) } catch { return error.faults.first?.message }
  return nil
}

private func checked(_ rule: Form.Rule, _ value: JSON) throws -> JSON? {
  try Form([.optional("field", rule)]).check(["field": value])["field"]
}

@Suite("A form's rules for what a query asks") struct FormTests {
  @Test("a day, or a moment with its zone", arguments: ["2026-11-23", "2024-02-29", "2026-11-23T10:00:00.000Z"])
  func day(_ text: String) throws { #expect(try checked(.day(), .string(text)) == .string(text)) }

  @Test(
    "no other",
    arguments: [
      "2026-02-30", "2026-13-01", "23.11.2026", "2026-1-1", "2026-11-23T10:00", "tomorrow", "1969-12-31", "+2026-11-2",
      "2026-11-23 ", "٢٠٢٦-١١-٢٣",
    ])
  func noDay(_ text: String) { #expect(fault(.day(), .string(text)) != nil) }

  @Test("a range, as a text or a list", arguments: ["20:80", [20, 80]] as [JSON])
  func range(_ value: JSON) throws { #expect(try checked(.range(0...100), value) == ["min": 20, "max": 80]) }

  @Test(
    "none that is turned around, open or too wide",
    arguments: ["80:20", "20", "20:", ":80", "20:80:90", "+20:80", "0:101", "-1:5", "a:b", [20], [1, "2"], 7, "2０:80"]
      as [JSON])
  func noRange(_ value: JSON) { #expect(fault(.range(0...100), value) != nil) }

  @Test(
    "a line has no line feed, return or tab",
    arguments: [
      ("Layla\nHaddad", "Layla Haddad"), ("Layla\r\n\tHaddad", "Layla Haddad"), ("Layla \rHaddad\n", "Layla Haddad"),
      ("ليلى\u{2028}حداد", "ليلى حداد"), ("Layla  Haddad", "Layla  Haddad"),
    ])
  func line(_ text: String, _ line: String) throws {
    #expect(try checked(.line(2...20), .string(text)) == .string(line))
    #expect(try checked(.lines(max: 1, each: 2...20), [.string(text)]) == [.string(line)])
    #expect(fault(.line(2...20), "\n\t") == nil && fault(.line(2...3), .string(text)) != nil)
  }

  @Test("a zone that the system knows")
  func zone() throws {
    #expect(try checked(.zone, "Asia/Dubai") == "Asia/Dubai")
    for name in ["Mars/Olympus", "../../etc/passwd", "UTC+3", "/Asia/Dubai"] {
      #expect(fault(.zone, .string(name)) != nil)
    }
  }

  @Test("a cursor has the letters of base64url only")
  func cursor() throws {
    #expect(try checked(.cursor, "W10_-9") == "W10_-9")
    for text in ["W10=", "a b", "a\n", "é", String(repeating: "a", count: 401)] {
      #expect(fault(.cursor, .string(text)) != nil)
    }
  }

  @Test("a form inside of a text, its faults under its own name")
  func document() throws {
    let inner = Form([.optional("score", .range(0...100))])
    #expect(try checked(.document(inner), #"{"score": "1:2"}"#) == ["score": ["min": 1, "max": 2]])
    #expect(try checked(.document(inner), ["score": [1, 2]]) == ["score": ["min": 1, "max": 2]])
    for text in ["{", "[]", "1", "{} {}"] as [JSON] { #expect(fault(.document(inner), text) != nil) }
    #expect(throws: Form.Faults(faults: [.init(path: "field.score", message: fault(.range(0...100), 1) ?? "")])) {
      try checked(.document(inner), #"{"score": 1}"#)
    }
  }

  @Test("a query's texts become what the rules ask for")
  func query() throws {
    let form = Form([
      .optional("ids", .uuids(max: 2)), .optional("page", .integer(1...400)), .optional("range", .range(0...9)),
    ])
    let id = "00000000-0000-4000-8000-000000000001"
    #expect(
      try form.check(form.document(query: ["ids": "\(id),\(id)", "page": "7", "range": "1:9"]))
        == ["ids": [.string(id), .string(id)], "page": 7, "range": ["min": 1, "max": 9]])
    for page in ["abc", "+5", "-5", "05", "1e2", "0x1", "9999999999999999999999", "٣"] {
      #expect(throws: Form.Faults.self) { try form.check(form.document(query: ["page": page])) }
    }
  }
}

import Forms
import Testing
import Wire

private func refusal(_ rule: Rule<some Any>, _ value: JSON) -> String? {
  do { _ = try Form([.optional("field", rule)]).check(["field": value]) } catch { return error.fields.first?.message }
  return nil
}

private func checked<Value>(_ rule: Rule<Value>, _ value: JSON) throws -> Value? {
  let field = Field.optional("field", rule)
  return try Form([field]).check(["field": value])[field]
}

@Suite("Forms and their rules") struct FormTests {
  @Test("accepts a day or a zoned instant", arguments: ["2026-11-23", "2024-02-29", "2026-11-23T10:00:00.000Z"])
  func day(_ text: String) throws { #expect(try checked(.day(), .string(text)) == text) }

  @Test(
    "rejects any other date",
    arguments: [
      "2026-02-30", "2026-13-01", "23.11.2026", "2026-1-1", "2026-11-23T10:00", "tomorrow", "1969-12-31", "+2026-11-2",
      "٢٠٢٦-١١-٢٣",
    ])
  func noDay(_ text: String) { #expect(refusal(.day(), .string(text)) != nil) }

  @Test("accepts a range as a string or an array", arguments: ["20:80", [20, 80]] as [JSON])
  func range(_ value: JSON) throws { #expect(try checked(.range(0...100), value) == 20...80) }

  @Test(
    "rejects a range that is reversed, open or out of bounds",
    arguments: ["80:20", "20", "20:", ":80", "20:80:90", "+20:80", "0:101", "-1:5", "a:b", [20], [1, "2"], 7, "2０:80"]
      as [JSON])
  func noRange(_ value: JSON) { #expect(refusal(.range(0...100), value) != nil) }

  @Test(
    "replaces line breaks and tabs with a space where one line is required",
    arguments: [
      ("Layla\nHaddad", "Layla Haddad"), ("Layla\r\n\tHaddad", "Layla Haddad"), ("Layla \rHaddad\n", "Layla Haddad"),
      ("ليلى\u{2028}حداد", "ليلى حداد"), ("Layla  Haddad", "Layla  Haddad"),
    ])
  func line(_ text: String, _ line: String) throws {
    #expect(try checked(.line(2...20), .string(text)) == line)
    #expect(try checked(.lines(max: 1, each: 2...20), [.string(text)]) == [line])
    #expect(refusal(.line(2...20), "\n\t") == nil && refusal(.line(2...3), .string(text)) != nil)
  }

  @Test("accepts only time zones that the system has")
  func zone() throws {
    #expect(try checked(.zone, "Asia/Dubai") == "Asia/Dubai")
    for name in ["Mars/Olympus", "../../etc/passwd", "UTC+3", "/Asia/Dubai"] {
      #expect(refusal(.zone, .string(name)) != nil)
    }
  }

  @Test("accepts only base64url of at most 400 characters as a cursor")
  func cursor() throws {
    #expect(try checked(.cursor, "W10_-9") == "W10_-9")
    for text in ["W10=", "a b", "a\nb", "é", String(repeating: "a", count: 401)] {
      #expect(refusal(.cursor, .string(text)) != nil)
    }
  }

  @Test("checks a form inside a JSON string, with its errors under the field's path")
  func document() throws {
    let score = Field.optional("score", .range(0...100))
    let inner = Form([score])
    #expect(try checked(.document(inner), #"{"score": "1:2"}"#)?[score] == 1...2)
    #expect(try checked(.document(inner), ["score": [1, 2]])?.document == ["score": ["min": 1, "max": 2]])
    for text in ["{", "[]", "1", "{} {}"] as [JSON] { #expect(refusal(.document(inner), text) != nil) }
    #expect(throws: FormError(fields: [.init(.invalidRange, at: "field.score", ["min": 0, "max": 100])])) {
      try checked(.document(inner), #"{"score": 1}"#)
    }
  }

  @Test("converts the strings of a query to the types of the rules")
  func query() throws {
    let form = Form([
      .optional("ids", .uuids(max: 2)), .optional("page", .integer(1...400)), .optional("range", .range(0...9)),
    ])
    let id = "00000000-0000-4000-8000-000000000001"
    #expect(
      try form.check(form.document(query: ["ids": "\(id),\(id)", "page": "7", "range": "1:9"])).document
        == ["ids": [.string(id), .string(id)], "page": 7, "range": ["min": 1, "max": 9]])
    for page in ["abc", "+5", "-5", "05", "1e2", "0x1", "9999999999999999999999", "٣"] {
      #expect(throws: FormError.self) { try form.check(form.document(query: ["page": page])) }
    }
  }

  @Test("a value has the type of its field's rule, and is nil if an optional field is absent")
  func types() throws {
    let (id, count) = (Field.required("id", .uuid), Field.optional("count", .integer(0...9)))
    let text = "00000000-0000-4000-8000-00000000000A"
    let form = try Form([id, count]).check(["id": .string(text), "count": nil, "other": 1])
    let (uuid, number): (UUIDText, Int?) = (form[id], form[count])
    #expect(uuid == UUIDText(text) && number == nil && form[Field.optional("other", .integer(0...9))] == nil)
    #expect(form.document == ["id": .string(uuid.text)] && form.has(id) && !form.has(count))
  }

  @Test("reports all errors at once, each with its path")
  func errors() throws {
    let row = Form([.required("id", .uuid), .optional("tags", .lines(max: 2, each: 1...3))])
    let form = Form([
      .required("name", .text(1...9)), .required("rows", .lastForms(row, max: 3)), .required("row", .form(row)),
    ])
    let body: JSON = ["name": " ", "rows": [["id": 1], 5, ["tags": ["abcd", " "]]], "row": [:]]
    #expect {
      try form.check(body)
    } throws: { error in
      (error as? FormError)?.fields.map(\.message) == [
        "name is required", "rows[0].id must be a UUID", "rows[1] must be an object", "rows[2].id is required",
        "rows[2].tags[0] must have 1 to 3 characters", "rows[2].tags[1] must not be blank", "row.id is required",
      ]
    }
  }

  @Test("a change rejects null and blanks for a field that cannot be cleared, and its schema does too")
  func change() throws {
    let (status, notes) = (Field.optional("status", .choice(["new", "lost"])), Field.optional("notes", .text(1...9)))
    let form = Form(changing: [status, notes], clearable: [notes])
    for blank in [.null, "", " \n"] as [JSON] {
      #expect(throws: FormError(fields: [.init(.blank, at: "status")])) {
        try form.check(["status": blank, "notes": "x"])
      }
      #expect(try form.check(["status": "lost", "notes": blank]).document == ["status": "lost"])
    }
    #expect(throws: FormError(fields: [.init(.noChange, ["fields": "status, notes"])])) { try form.check(["other": 1]) }
    #expect(form.schema["properties"]?["status"] == status.rule.schema)
    #expect(form.schema["properties"]?["notes"] == notes.rule.optionalSchema)
  }

  @Test("an empty filter counts as absent, in JSON and as a parameter")
  func emptyFilters() throws {
    let form = Form([
      .optional("words", .choices(["a"])), .optional("ids", .anyUUIDsOrNone(max: 2)), .optional("range", .range(0...9)),
      .optional("texts", .texts(max: 2, each: 1...3)),
    ])
    let empty: JSON = ["words": [], "ids": [], "range": []]
    #expect(try form.check(empty).document == [:])
    for text in ["", ","] {
      let query = form.document(query: ["words": text, "ids": text, "texts": text])
      let checked = try form.check(query)
      #expect(checked.document.members?.allSatisfy { $0.value == [] } == true)
      #expect(!checked.has(form.fields[0]) && !checked.has(form.fields[1]))
    }
    let dates = Form([.optional("day", .day()), .optional("sort", .choice(["a"])), .optional("words", .choices(["a"]))])
    for list in ["[]", #"[""]"#, "[null]", #"[" ", null]"#] {
      let filters: JSON = .string(#"{"day":\#(list),"sort":\#(list),"words":\#(list)}"#)
      #expect(try checked(.document(dates), filters)?.document == [:], "\(list)")
    }
    #expect(refusal(.document(dates), #"{"day":["x"]}"#) != nil)
    #expect(refusal(.document(dates), #"{"words":["a",""]}"#) != nil)
    #expect(try checked(.document(form), "null") == nil && refusal(.choices(["a"]), ["a", ""]) != nil)
  }

  @Test("a page that is too large names the way to all rows, and its code differs from that of other errors")
  func pageSize() throws {
    #expect(try checked(.pageSize(max: 100), 100) == 100)
    for (limit, code) in [(101, .limitTooLarge), (10_000, .limitTooLarge), (0, .invalidInteger), (-5, .invalidInteger)]
      as [(JSON, FieldCode)]
    {
      let form = Form([.optional("limit", .pageSize(max: 100))])
      let error = #expect(throws: FormError.self) { try form.check(["limit": limit]) }
      #expect(error?.fields.map(\.code) == [code])
    }
    #expect(refusal(.pageSize(max: 100), 10_000)?.contains("export") == true)
  }

  @Test("the schema of an optional field allows null and whitespace", arguments: [1, 2])
  func optionalSchema(_ least: Int) {
    let schema = Form([.optional("field", .text(least...9))]).schema["properties"]?["field"]
    let blank: JSON = ["type": ["string", "null"], "pattern": "^\\s*$"]
    #expect(
      least == 1
        ? schema == ["type": ["string", "null"], "maxLength": 9]
        : schema == ["anyOf": [Rule.text(least...9).schema, blank]])
  }

  @Test(
    "trims every kind of value alike",
    arguments: [" ", "\r", "\n", "\t", "\u{A0}", "\u{200B}", "\u{FEFF}", "\u{2028}", "\u{200F}", "\u{202C}", "\u{AD}"])
  func trims(_ edge: String) throws {
    func around(_ text: String) -> JSON { .string(edge + text + edge) }
    let id = "00000000-0000-4000-8000-00000000000a"
    #expect(try checked(.text(1...3), around("abc")) == "abc" && checked(.line(1...3), around("abc")) == "abc")
    #expect(try checked(.email, around("a@b.com"))?.text == "a@b.com" && checked(.uuid, around(id))?.text == id)
    #expect(try checked(.webAddress, around("https://a.com/"))?.text == "https://a.com/")
    #expect(try checked(.choice(["buy"]), around("buy")) == "buy" && checked(.key, around("k")) == "k")
    #expect(try checked(.instant, around("2026-11-22T21:00:00Z")) == Instant(milliseconds: 1_795_381_200_000))
    #expect(try checked(.day(), around("2026-11-23")) == "2026-11-23" && checked(.choice(["buy"]), around("")) == nil)
  }

  @Test("sets aside what a lenient field cannot use, and only the items of a list that it cannot use")
  func lenient() throws {
    let item = Form([Field.required("id", .uuid).identifying, Field.optional("count", .integer(0...9)).lenient])
    let (kind, rows) = (
      Field.optional("kind", .choice(["a"])).lenient, Field.optional("rows", .lastForms(item, max: 3)).lenient
    )
    let tags = Field.optional("tags", .texts(max: 3, each: 1...3)).lenient
    let id = "00000000-0000-4000-8000-00000000000a"
    let checked = try Form([kind, rows, tags]).check([
      "kind": 5, "rows": [["id": .string(id), "count": "x"], 7], "tags": ["abc", "abcd"],
    ])
    #expect(checked.aside == ["rows[0].count": "x", "kind": 5, "rows[1]": 7, "tags[1]": "abcd"])
    #expect(checked.warnings.map(\.path) == ["kind", "rows[0].count", "rows[1]", "tags[1]"])
    #expect(checked[kind] == nil && checked[rows]?.count == 1 && checked[tags] == ["abc"])
  }

  @Test("an error that identifies something refuses the request, and the warnings are listed with it")
  func identifying() {
    let item = Form([Field.required("id", .uuid).identifying])
    let form = Form([
      Field.optional("kind", .choice(["a"])).lenient, Field.optional("rows", .lastForms(item, max: 3)).lenient,
    ])
    #expect {
      try form.check(["kind": 5, "rows": [["id": "x"]]])
    } throws: { ($0 as? FormError)?.fields.map(\.path) == ["kind", "rows[0].id"] }
  }

  @Test("an item without its identifying field is set aside") func noIdentity() throws {
    let item = Form([Field.required("id", .identifier(1...9)).identifying])
    let rows = Field.optional("rows", .lastForms(item, max: 3)).lenient
    let checked = try Form([rows]).check(["rows": [[:], ["id": nil], ["id": 7]]])
    #expect(checked.aside == ["rows[0]": [:], "rows[1]": ["id": nil]])
    #expect(checked[rows]?.map(\.document) == [["id": "7"]])
  }

  @Test("of a long list only the last items are read, with a warning") func lastItems() throws {
    let rows = Field.optional("rows", .lastForms(Form([Field.required("n", .integer(0...9))]), max: 2)).lenient
    let checked = try Form([rows]).check(["rows": [["n": 1], ["n": 2], ["n": 3]]])
    #expect(checked[rows]?.map(\.document) == [["n": 2], ["n": 3]])
    #expect(checked.warnings.map(\.code) == [.listCut] && checked.warnings.map(\.path) == ["rows"])
    #expect(checked.aside == [:])
  }

  @Test("a word may be in upper case or another name of one") func words() throws {
    let rule = Rule.word(["buy", "rent"], names: ["rent": ["lease", "إيجار"]])
    #expect(try checked(rule, "Buy") == "buy" && checked(rule, " LEASE ") == "rent" && checked(rule, "إيجار") == "rent")
    #expect(throws: FormError.self) { try checked(rule, "own") }
  }

  @Test("a field may be lenient only beside a valid field") func lenientBeside() throws {
    let phone = Field.optional("phone", .integer(0...9))
    let mail = Field.optional("mail", .email).lenient(beside: phone)
    let form = Form([mail, phone], atLeastOne: [mail, phone])
    #expect(try form.check(["mail": "x", "phone": 5]).aside == ["mail": "x"])
    for body: JSON in [["mail": "x"], ["mail": "x", "phone": 10], ["mail": "x", "phone": nil]] {
      #expect(throws: FormError.self) { try form.check(body) }
    }
  }

  @Test("rejects a body that is not an object, with one error")
  func noObject() {
    #expect(throws: FormError(fields: [.init(.notAnObject)])) { try Form([]).check([]) }
  }
}

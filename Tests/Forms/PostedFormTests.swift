import Forms
import Testing

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

private func pairs(_ form: PostedForm) -> [[String]] { form.fields.map { [$0.name, $0.value] } }

@Suite("URL-encoded forms") struct URLEncodedFormTests {
  @Test(
    "are decoded as the WHATWG URL standard says",
    arguments: [
      ("a=1&b=2", [["a", "1"], ["b", "2"]]), ("a+b=c+d", [["a b", "c d"]]), ("a=%C3%A9%2B", [["a", "é+"]]),
      ("a=%zz%4", [["a", "%zz%4"]]), ("a=%", [["a", "%"]]), ("a", [["a", ""]]), ("=x", [["", "x"]]),
      ("&&a=1&", [["a", "1"]]), ("a=b=c", [["a", "b=c"]]), ("", []), ("a=%FF", [["a", "\u{FFFD}"]]),
      ("a=1&a=2", [["a", "1"], ["a", "2"]]),
    ] as [(String, [[String]])])
  func decoded(_ body: String, _ fields: [[String]]) throws {
    #expect(try pairs(PostedForm(urlEncoded: bytes(body))) == fields)
  }

  @Test("of too many fields, with a long name or with a NUL are refused")
  func limits() throws {
    let many = (0..<PostedForm.fieldLimit).map { "f\($0)=1" }.joined(separator: "&")
    #expect(try PostedForm(urlEncoded: bytes(many)).fields.count == PostedForm.fieldLimit)
    #expect(throws: PostedFormError.self) { try PostedForm(urlEncoded: bytes(many + "&x=1")) }
    #expect(throws: PostedFormError.self) {
      try PostedForm(urlEncoded: bytes(String(repeating: "n", count: 201) + "=1"))
    }
    #expect(throws: PostedFormError.self) { try PostedForm(urlEncoded: bytes("a=%00")) }
  }

  @Test("have the last value that is not blank of a repeated name") func repeated() throws {
    let form = try PostedForm(urlEncoded: bytes("a=0&a=1&b=1&b=+&c=&c="))
    #expect(form["a"] == "1" && form["b"] == "1" && form["c"] == "" && form["d"] == nil)
  }
}

@Suite("Multipart forms") struct MultipartFormTests {
  private static func part(_ name: String, _ value: String, _ more: String = "") -> String {
    "Content-Disposition: form-data; name=\"\(name)\"\(more)\r\n\r\n\(value)\r\n"
  }

  @Test(
    "are read",
    arguments: [
      // As browsers send it.
      ("--b\r\n" + part("a", "1") + "--b\r\n" + part("c", "x\r\ny") + "--b--\r\n", [["a", "1"], ["c", "x\r\ny"]]),
      // Preamble, epilogue, blanks after the boundary, no line end at the end.
      ("hello\r\n--b \t\r\n" + part("a", "1") + "--b--  ", [["a", "1"]]),
      ("--b\r\n" + part("a", "1") + "--b--\r\n--b\r\n" + part("c", "2") + "--b--", [["a", "1"]]),
      // An empty value, and a value that looks like a boundary.
      ("--b\r\n" + part("a", "") + "--b--\r\n", [["a", ""]]),
      ("--b\r\n" + part("a", "x\r\n--bc\r\n--b-\r\n --b") + "--b--\r\n", [["a", "x\r\n--bc\r\n--b-\r\n --b"]]),
      // The empty file of an input that was not used; escapes in a name; headers in any case and order.
      ("--b\r\n" + part("f", "", "; filename=\"\"") + "--b\r\n" + part("a", "1") + "--b--", [["a", "1"]]),
      ("--b\r\n" + part("a%22%0D%0A%41\\\"", "1") + "--b--", [["a\"\r\n%41\"", "1"]]),
      (
        "--b\r\nContent-Type: text/plain; charset=utf-8\r\nCONTENT-DISPOSITION:form-data;NAME=a\r\n\r\nم\r\n--b--",
        [["a", "م"]]
      ),
      ("--b--", []),
      // Lines of a preamble that are no delimiters, because they do not end in CRLF.
      ("--b\n" + part("a", "1") + "--b--", []),
    ] as [(String, [[String]])])
  func read(_ body: String, _ fields: [[String]]) throws {
    #expect(try pairs(PostedForm(multipart: bytes(body), boundary: bytes("b"))) == fields)
  }

  @Test(
    "that are cut off, carry a file or have a part without a name are refused",
    arguments: [
      "", "a=1", "--b", "--b\r\n", "--b\r\n" + part("a", "1"), "--b\r\n\r\n\r\n--b--", "--b\r\n--b--",
      "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n--b--",
      "--b\r\n" + part("f", "x", "; filename=\"a.txt\"") + "--b--",
      "--b\r\n" + part("f", "x", "; filename*=UTF-8''a") + "--b--",
      "--b\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\n1\r\n--b--",
      "--b\r\nContent-Disposition: form-data; name*=a\r\n\r\n1\r\n--b--",
      "--b\r\nContent-Transfer-Encoding: base64\r\n" + part("a", "MQ==") + "--b--",
      "--b\r\n" + part("a", "\u{0}") + "--b--",
      "--b\r\nX: " + String(repeating: "x", count: 3000) + "\r\n" + part("a", "1") + "--b--",
      String(repeating: "--b\r\n" + part("a", "1"), count: 101) + "--b--",
    ])
  func refused(_ body: String) {
    #expect(throws: PostedFormError.self) { try PostedForm(multipart: bytes(body), boundary: bytes("b")) }
  }

  @Test("that are hostile, 10,000 of them, cost bounded work and never crash") func hostile() throws {
    let pieces = [
      "--b", "--b--", "\r\n", "\r", "\n", "--", "b", "Content-Disposition: form-data; name=\"a\"", "\r\n\r\n",
      "; filename=\"\"",
      "name=", "\"", "\\", ";", ":", " ", "\t", "\u{0}", "%22", "é", "Content-Transfer-Encoding: 8bit", "--b \t", "x",
    ].map(bytes)
    var state: UInt64 = 0x5EED
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(bound))
    }
    var read = 0
    let clock = ContinuousClock()
    let took = clock.measure {
      for round in 0..<10_000 {
        var body: [UInt8] = next(3) == 0 ? [] : bytes("--b\r\n")
        for _ in 0..<next(round % 100 == 0 ? 4000 : 60) {
          if next(20) == 0 { body.append(UInt8(next(256))) } else { body += pieces[next(pieces.count)] }
        }
        guard let form = try? PostedForm(multipart: body, boundary: bytes("b")) else { continue }
        read += 1
        // What is read is never more than what was sent.
        #expect(form.fields.count <= PostedForm.fieldLimit)
        #expect(form.fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count } <= 3 * body.count)
      }
    }
    #expect(read > 10, "the generator also makes bodies that can be read")
    #expect(took < .seconds(60))
  }

  @Test(
    "of the largest size take no longer than others",
    arguments: ["\r\n--b", "\r\n--b ", "\r\n", "--b\r\n", "Content-Disposition: form-data; name=\"a\"\r\n"])
  func repeated(_ piece: String) {
    let body = bytes("--b\r\n" + String(repeating: piece, count: 262_144 / piece.utf8.count))
    let took = ContinuousClock().measure { _ = try? PostedForm(multipart: body, boundary: bytes("b")) }
    #expect(took < .seconds(5))
  }
}

@Suite("The media type of a form") struct FormTypeTests {
  @Test(
    "is read from Content-Type",
    arguments: [
      ("application/x-www-form-urlencoded", .urlEncoded),
      ("Application/X-WWW-Form-URLEncoded; charset=UTF-8", .urlEncoded),
      ("multipart/form-data; boundary=----WebKit7MA4", .multipart(boundary: bytes("----WebKit7MA4"))),
      ("multipart/form-data; charset=utf-8; BOUNDARY=\"a b:c\"", .multipart(boundary: bytes("a b:c"))),
      ("application/json", nil), ("text/plain", nil), ("", nil), ("multipart/mixed; boundary=b", nil),
    ] as [(String, FormType?)])
  func read(_ header: String, _ type: FormType?) throws { #expect(try FormType(contentType: header) == type) }

  @Test(
    "is refused without a boundary that RFC 2046 allows, and with another charset",
    arguments: [
      "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"a \"",
      "multipart/form-data; boundary=\"a\u{7}b\"", "multipart/form-data; boundary=" + String(repeating: "b", count: 71),
      "application/x-www-form-urlencoded; charset=utf-16",
    ])
  func refused(_ header: String) {
    #expect(throws: PostedFormError.self) { try FormType(contentType: header) }
    #expect(FormType.isNamed(in: header))
  }
}

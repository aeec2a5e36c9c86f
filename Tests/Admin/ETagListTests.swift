import Testing

@testable import Admin

@Suite("Lists of ETags") struct ETagListTests {
  @Test(
    "reads every form of If-Match",
    arguments: [
      (#""a""#, .versions(["a"])), (#"W/"a""#, .versions(["a"])), (#""a", "b""#, .versions(["a", "b"])),
      (#""a","b" ,\#tW/"c""#, .versions(["a", "b", "c"])), (#", "a",,"#, .versions(["a"])),
      (#""a,b", "c""#, .versions(["a,b", "c"])), ("*", .any), (" * ", .any),
    ] as [(String, ETagList)])
  func lists(_ header: String, _ list: ETagList) { #expect(ETagList(header) == list) }

  @Test(
    "rejects anything else",
    arguments: [
      "", ",", "a", #"""#, #""""#, #""a"#, #"a""#, #""a" "b""#, #""a"b"#, #"w/"a""#, #"*, "a""#, #""a", *"#, "**",
      #""a b""#, #""é""#, #""a", b"#,
    ])
  func others(_ header: String) { #expect(ETagList(header) == nil) }
}

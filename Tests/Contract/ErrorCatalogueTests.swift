import Contract
import Forms
import Testing
import Wire

@Suite("The catalogue of errors") struct ErrorCatalogueTests {
  private static let codes = ProblemCode.allCases.map(\.rawValue) + FieldCode.allCases.map(\.rawValue)

  @Test("has each code once, in snake case") func uniqueCodes() {
    #expect(Set(Self.codes).count == Self.codes.count)
    for code in Self.codes { #expect(code.utf8.allSatisfy { 0x61...0x7A ~= $0 || $0 == 0x5F }, "\(code)") }
  }

  @Test(
    "names the field in the message of each field error, so that the message reads well alone",
    arguments: FieldCode.allCases)
  func namesField(_ code: FieldCode) {
    #expect(code.template.contains("{field}") || code.template.contains("{fields}"))
    let message = FieldError(code, at: "messages[3].id").message
    #expect(message.contains("messages[3].id") || code.template.contains("{fields}"))
    #expect(FieldError(code).message.contains("the body") || code.template.contains("{fields}"))
  }

  @Test("fills in arguments, and leaves a name without an argument") func arguments() {
    let error = FieldError(.invalidLength, at: "name", ["min": 2, "max": 200])
    #expect(error.message == "name must have 2 to 200 characters")
    #expect(FieldError(.invalidLength, at: "{max}", ["min": 2]).message == "{max} must have 2 to {max} characters")
    #expect(Problem(.bodyTooLarge, ["max": 10]).detail == "the body is larger than 10 bytes")
  }

  @Test("a problem has its code, and a list of field errors with theirs") func document() {
    let one = Problem(FormError(fields: [FieldError(.required, at: "name")]))
    #expect(one.detail == "name is required")
    #expect(one.document(requestID: "r")["code"] == "invalid_fields")
    #expect(
      one.document(requestID: "r")["details"]
        == [["path": "name", "code": "required", "message": "name is required"]])
    let two = Problem(FormError(fields: [FieldError(.required, at: "a"), FieldError(.invalidUUID, at: "b")]))
    #expect(two.detail == "2 fields are invalid; see details" && two.fields.count == 2)
    #expect(Problem(.routeNotFound).document(requestID: "r")["details"] == nil)
  }
}

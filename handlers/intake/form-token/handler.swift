// GET /api/form-token: a signed token for a form that a visitor begins, and the work that it asks for.
import Contract
import Leads
import StoreAccess
import Wire

package let handler = Handler(
  Description(
    name: "form-token", kind: .endpoint, summary: "Returns a signed token for a form",
    routes: [.init("GET", "/api/form-token")], bodyLimit: 1024, environment: FormGuard.settings,
    output: .init(
      [
        "type": "object", "required": ["token", "expiresAt", "minimumSeconds", "work"],
        "properties": [
          "token": ["type": "string", "maxLength": 200], "expiresAt": ["type": "string", "format": "date-time"],
          "minimumSeconds": ["type": "integer"],
          "work": [
            "description": "the number of zero bits with which SHA-256 of `TOKEN:formWork` must begin",
            "type": ["object", "null"], "required": ["bits"],
            "properties": ["bits": ["type": "integer", "minimum": 1, "maximum": JSON(FormWork.mostBits)]],
          ],
        ],
      ], headers: ["properties": ["Cache-Control": ["const": "no-store"]]], problems: [404]))
) { settings throws(Problem) in
  let forms = try FormGuard(settings)
  return { request, _ throws(Problem) in
    guard let tokens = forms.tokens else { throw Problem(.formTokensOff) }
    let body: JSON = [
      "token": .string(tokens.issue(at: request.receivedAt, bits: forms.workBits)),
      "expiresAt": .string(request.receivedAt.adding(seconds: FormTokens.lifetime).iso8601),
      "minimumSeconds": JSON(FormTokens.minimumSeconds),
      "work": forms.workBits == 0 ? .null : ["bits": JSON(forms.workBits)],
    ]
    return Reply(body, headers: ["cache-control": "no-store"])
  }
}

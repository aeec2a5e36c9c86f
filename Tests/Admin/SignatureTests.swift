import Testing
import Wire

@testable import Admin

@Suite("Signatures of access tokens") struct SignatureTests {
  private static let claims =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

  /// RFC 7515, appendix A.2 (RS256) and A.3 (ES256): the keys, here with ids.
  static let keys = """
    {"keys": [
      {"kty": "RSA", "kid": "a2", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJ\
    rcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA\
    9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs\
    91kzk2PAcDTW9gb54h4FRWyuXpoQ"},
      {"kty": "EC", "kid": "a3", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
       "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}
    """

  private static let signatures = [
    "a2": """
    cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcA\
    cQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHW\
    EsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw
    """,
    "a3": "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
  ]

  @Test("HS256 matches RFC 7515, appendix A.1") func sharedSecret() throws {
    let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
    let key = SigningKey.secret(try #require(Base64URL.decode(secret)))
    let signature = try #require(Base64URL.decode("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))
    let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\(Self.claims)"
    #expect(key.algorithm == "HS256" && key.verifies(signature, of: message))
    #expect(!key.verifies(signature, of: message + "A") && !key.verifies(signature.dropLast(), of: message))
    #expect(!key.verifies([], of: message) && !SigningKey.secret([]).verifies(signature, of: message))
  }

  @Test("RS256 and ES256 match RFC 7515, appendices A.2 and A.3", arguments: [("a2", "RS256"), ("a3", "ES256")])
  func publicKeys(_ id: String, _ algorithm: String) throws {
    let key = try #require(JSONWebKeys(Self.keys).keys[id])
    let signature = try #require(Self.signatures[id].flatMap(Base64URL.decode))
    let header = algorithm == "RS256" ? "eyJhbGciOiJSUzI1NiJ9" : "eyJhbGciOiJFUzI1NiJ9"
    let message = "\(header).\(Self.claims)"
    #expect(key.algorithm == algorithm && key.verifies(signature, of: message))
    #expect(!key.verifies(signature, of: message + "A") && !key.verifies([], of: message))
    #expect(!key.verifies(signature.dropLast(), of: message) && !key.verifies(signature + [0], of: message))
    // The numbers 0 of CVE-2022-21449.
    #expect(!key.verifies([UInt8](repeating: 0, count: signature.count), of: message))
    var changed = signature
    changed[10] ^= 1
    #expect(!key.verifies(changed, of: message))
  }

  @Test(
    "a set with a malformed key, without a usable key or with ambiguous ids is refused",
    arguments: [
      ("[]", "must be a JWK Set"), ("no JSON", "must be a JWK Set"), ("{\"keys\": []}", "has no key"),
      (
        "{\"keys\": [{\"kty\": \"oct\", \"kid\": \"a\", \"k\": \"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T\"}]}",
        "has no key"
      ),
      (
        """
        {"keys": [{"kty": "EC", "kid": "a", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}]}
        """, "not a point of the curve"
      ),
      ("{\"keys\": [{\"kty\": \"RSA\", \"kid\": \"a\", \"e\": \"AQAB\", \"n\": \"ofgWCuLjybRlzo0t\"}]}", "2048"),
      (keys.replacing("\"a3\"", with: "\"a2\""), "two keys with the same kid"),
      (keys.replacing("\"kid\": \"a3\", ", with: ""), "a key without a kid"),
      (String(repeating: " ", count: JSONWebKeys.limit + 1), "larger than 64 KiB"),
      ("/no/such/file", "cannot be read: No such file"),
    ])
  func unusableSets(_ set: String, _ reason: String) {
    #expect(JSONWebKeys.fault(in: set)?.contains(reason) == true)
  }

  @Test("keys for other uses and algorithms are ignored") func otherKeys() throws {
    let encrypting = Self.keys.replacing("\"kid\": \"a3\"", with: "\"kid\": \"a3\", \"use\": \"enc\"")
    #expect(try JSONWebKeys(encrypting).keys.keys.sorted() == ["a2"])
    let other = Self.keys.replacing("\"kid\": \"a2\"", with: "\"kid\": \"a2\", \"alg\": \"PS256\"")
    #expect(try JSONWebKeys(other).keys.keys.sorted() == ["a3"])
    let signing = Self.keys.replacing("\"kid\": \"a2\"", with: "\"kid\": \"a2\", \"key_ops\": [\"sign\"]")
    #expect(try JSONWebKeys(signing).keys.keys.sorted() == ["a3"])
  }

  @Test(
    "base64url is read in one way only",
    arguments: [("AA", [0]), ("AQAB", [1, 0, 1]), ("-_8", [251, 255]), ("", [])] as [(String, [UInt8])])
  func base64(_ text: String, _ bytes: [UInt8]) { #expect(Base64URL.decode(text) == bytes) }

  @Test(
    "base64url refuses padding, other alphabets and bits that are left over",
    arguments: ["AA==", "AB", "A", "+/8", "A A", "AQAB\n", "AQA="])
  func badBase64(_ text: String) { #expect(Base64URL.decode(text) == nil) }
}

import Wire

/// Signed tokens that a page fetches when a visitor begins a form. They prove when that was, and cost people nothing.
///
/// A token is `1.TIME.BITS.ID.CODE`: milliseconds since 1970, the work that it asks for, a UUID, and an HMAC-SHA-256 of
/// the text before it. It is valid for any number of submissions: it tells robots that do not run the page's script from
/// people. Submissions are not counted.
package struct FormTokens: Sendable {
  /// How long a token is valid, in seconds.
  package static let lifetime = 86_400
  /// The least time, in seconds, that a person needs to fill in a form.
  package static let minimumSeconds = 2

  /// The secret that signs.
  private let secret: [UInt8]
  /// All that are accepted.
  private let secrets: [[UInt8]]

  /// - Parameter old: secrets whose tokens are accepted too.
  package init(secret: String, old: [String] = []) {
    self.secret = Array(secret.utf8)
    secrets = [self.secret] + old.map { Array($0.utf8) }
  }

  /// Returns a token.
  /// - Parameter bits: the work that it asks for; see `FormWork`. 0 for none.
  package func issue(at time: Instant, bits: Int, id: UUIDText = .ordered()) -> String {
    let text = "1.\(time.milliseconds).\(bits).\(id.text)"
    return "\(text).\(hexadecimal(Self.code(text, secret)))"
  }

  /// What a valid token says.
  package struct Content: Sendable, Equatable {
    package let issuedAt: Instant
    package let bits: Int

    package init(issuedAt: Instant, bits: Int) {
      self.issuedAt = issuedAt
      self.bits = bits
    }
  }

  /// Returns the content of a token; nil if none of the secrets has signed it.
  package func read(_ token: String) -> Content? {
    let parts = token.split(separator: ".", omittingEmptySubsequences: false)
    guard token.utf8.count <= 200, parts.count == 5, parts[0] == "1", let time = Int(strict: parts[1]),
      let bits = Int(strict: parts[2]), 0...253_402_300_799_999 ~= time, 0...FormWork.mostBits ~= bits
    else { return nil }
    let text = String(token.dropLast(parts[4].count + 1))
    let presented = Array(parts[4].utf8)
    let isSigned = secrets.contains { secret in
      HMAC.areEqual(Array(hexadecimal(Self.code(text, secret)).utf8), presented)
    }
    return isSigned ? Content(issuedAt: Instant(milliseconds: time), bits: bits) : nil
  }

  private static func code(_ text: String, _ secret: [UInt8]) -> [UInt8] {
    HMAC.sha256(Array("leadpipe form token \(text)".utf8), key: secret)
  }
}

/// Proof of work: a number n, as decimal digits, such that SHA-256 of `TOKEN:n` begins with a number of zero bits. Under
/// attack it makes each submission cost a robot what it costs a visitor's browser: some 2^bits hashes.
package enum FormWork {
  /// More would keep an old phone busy for minutes.
  package static let mostBits = 24

  package static func isDone(_ work: String?, token: String, bits: Int) -> Bool {
    if bits == 0 { return true }
    guard let work, 1...20 ~= work.utf8.count, work.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else { return false }
    return zeroBits(SHA256Digest.of(Array("\(token):\(work)".utf8))) >= bits
  }

  /// Finds the proof by trying the numbers in turn, as browsers do. Nil if `goesOn` returns false before.
  package static func find(token: String, bits: Int, while goesOn: () -> Bool = { true }) -> String? {
    var number = 0
    while !isDone(String(number), token: token, bits: bits) {
      number += 1
      if number % 1024 == 0, !goesOn() { return nil }
    }
    return String(number)
  }

  private static func zeroBits(_ digest: [UInt8]) -> Int {
    let whole = digest.prefix { $0 == 0 }.count
    return whole * 8 + (whole < digest.count ? digest[whole].leadingZeroBitCount : 0)
  }
}

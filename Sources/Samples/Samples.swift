import Wire

/// Any number of test leads that look like leads in Dubai. The same options give the same leads on every machine. Each
/// is generated from the seed and its number, so a shorter run is always a prefix of a longer one. They name no real
/// person.
package struct Samples: Sendable {
  /// One body and its kind.
  package struct Sample: Sendable {
    package let body: JSON
    /// `plain`, or the name of the trick that was applied.
    package let kind: String
    /// True if a handler must reject it.
    package let isRefused: Bool
  }

  package let form: SampleForm
  package let seed: UInt64
  /// The percentage of hostile bodies. Half of them are unusual but valid, half must be rejected.
  package let hostilePercent: Int
  /// True if each has an idempotencyKey.
  package let hasKeys: Bool
  /// Chats begin in the thirty days before this time.
  package let end: Instant

  /// 1 February 2026 in Dubai.
  package static let defaultEnd = Instant(milliseconds: 1_769_889_600_000)

  package init(
    form: SampleForm = .lead, seed: UInt64, hostilePercent: Int = 5, hasKeys: Bool = false, end: Instant = defaultEnd
  ) {
    self.form = form
    self.seed = seed
    self.hostilePercent = hostilePercent
    self.hasKeys = hasKeys
    self.end = end
  }

  /// Returns the sample with this number; the first is 1. A lead describes itself in `metadata.sample`, which is
  /// stored; any other body in `sample`, which handlers ignore.
  package subscript(number: Int) -> Sample {
    var random = SplitMix64(seed: seed, number: number)
    // Drawn first and always, so that a plain sample is the same for every percentage of hostile ones.
    let isHostile = random.chance(hostilePercent)
    let person = Person(&random)
    let wish = Wish(inArabic: person.writesArabic, isSale: form == .sell, &random)
    let start = Instant(milliseconds: end.milliseconds - random.below(30 * 86_400_000))
    var body = form.body(person, wish, from: start, &random)
    let trick = isHostile ? Trick.draw(for: form, &random) : nil
    body = marked(body, number: number, trick)
    if let trick { body = trick.spoil(body, form, &random) }
    if hasKeys { body = keyed(body, number: number) }
    return Sample(body: body, kind: trick?.name ?? "plain", isRefused: trick?.isRefused ?? false)
  }

  private func marked(_ body: JSON, number: Int, _ trick: Trick?) -> JSON {
    let mark: JSON = [
      "seed": .number(String(seed)), "number": JSON(number), "kind": .string(trick?.name ?? "plain"),
      "refused": .bool(trick?.isRefused ?? false),
    ]
    guard form == .lead else { return body.setting("sample", mark) }
    return body.setting("metadata", (body["metadata"] ?? [:]).setting("sample", mark))
  }

  /// Adds a key that ends in a fingerprint of the content, because the same number has different content with other
  /// options.
  private func keyed(_ body: JSON, number: Int) -> JSON {
    let mark = String(decoding: hex(fingerprint(body.bytes)), as: UTF8.self)
    return .object([JSON.Member("idempotencyKey", .string("sample-\(seed)-\(number)-\(mark)"))] + (body.members ?? []))
  }
}

/// FNV-1a in 64 bits. Distinguishes documents; not a cryptographic hash.
package func fingerprint(_ bytes: some Sequence<UInt8>, from start: UInt64 = 0xCBF2_9CE4_8422_2325) -> UInt64 {
  bytes.reduce(start) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
}

import Forms
import Leads
import Samples
import Testing
import Wire

@Suite("Samples") struct SamplesTests {
  private func samples(_ count: Int, of samples: Samples = Samples(seed: 7)) -> [Samples.Sample] {
    (1...count).map { samples[$0] }
  }

  private func lines(_ samples: [Samples.Sample]) -> [UInt8] { samples.flatMap { $0.body.bytes + [0x0A] } }

  /// True if the chatbot's form accepts the sample after a round trip through JSON, as in lead-capture.
  private func isAccepted(_ sample: Samples.Sample) -> Bool { lead(sample) != nil }

  private func lead(_ sample: Samples.Sample) -> Lead? {
    guard let body = try? JSON(reading: sample.body.bytes) else { return nil }
    return try? ChatbotForm().lead(checking: body, receivedAt: Samples.defaultEnd)
  }

  @Test(
    "the first thousand are the same on every machine and compiler; change these fingerprints only on purpose",
    arguments: [
      (SampleForm.lead, 0x8E3A_DA96_4C6C_760E as UInt64), (.contact, 0x6A96_F669_31F3_AA5F),
      (.inquiry, 0x5D06_9975_6871_A62C), (.sell, 0x7415_CA20_5251_507C), (.newsletter, 0x1700_7124_A571_6FA6),
    ])
  func frozen(_ form: SampleForm, _ expected: UInt64) {
    #expect(fingerprint(lines(samples(1000, of: Samples(form: form, seed: 7)))) == expected)
  }

  @Test("seed, number and end time change a sample; the share of hostile samples leaves the plain ones unchanged")
  func choices() {
    let own = Samples(seed: 7)
    #expect(own[1].body != Samples(seed: 8)[1].body && own[1].body != own[2].body)
    #expect(own[1].body != Samples(seed: 7, end: Instant(milliseconds: 0))[1].body)
    let calm = Samples(seed: 7, hostilePercent: 0)
    for number in 1...500 where own[number].kind == "plain" { #expect(own[number].body == calm[number].body) }
    #expect(samples(500, of: calm).allSatisfy { $0.kind == "plain" && !$0.isRefused })
  }

  @Test("the share of hostile samples is as requested, and about half of them are invalid", arguments: [0, 5, 30, 100])
  func share(_ percent: Int) {
    let made = samples(2000, of: Samples(seed: 3, hostilePercent: percent))
    let hostile = made.count { $0.kind != "plain" }
    #expect(abs(hostile - 20 * percent) <= percent * (100 - percent) / 25)
    #expect(abs(made.count(where: \.isRefused) * 2 - hostile) <= hostile / 5)
  }

  @Test("the form accepts valid samples and rejects those that are marked as invalid", arguments: [0, 5, 100])
  func verdicts(_ percent: Int) {
    for sample in samples(1500, of: Samples(seed: 11, hostilePercent: percent)) {
      #expect(isAccepted(sample) != sample.isRefused, "\(sample.kind): \(sample.body.text.prefix(2000))")
    }
  }

  @Test("every valid sample is parsed to the document that was written", arguments: SampleForm.allCases)
  func readable(_ form: SampleForm) {
    for sample in samples(1000, of: Samples(form: form, seed: 5, hostilePercent: 50)) where !sample.isRefused {
      #expect((try? JSON(reading: sample.body.bytes)) == sample.body)
    }
  }

  @Test("every kind of hostile sample appears", arguments: SampleForm.allCases)
  func tricks(_ form: SampleForm) {
    let kinds = Set(samples(1000, of: Samples(form: form, seed: 2, hostilePercent: 100)).map(\.kind))
    #expect(
      kinds.isSuperset(of: ["sql", "html", "slack", "telegram", "csv", "bidi", "zero-width", "combining", "emoji"]))
    #expect(
      kinds.isSuperset(of: ["word", "json", "header", "missing", "header-in-mail", "too-deep", "repeated-key", "nul"]))
    #expect(kinds.contains("long-message-id") == (form == .lead))
    #expect(kinds.contains("bad-phone") == (form != .newsletter))
  }

  @Test("all intents appear, and all scripts that customers in Dubai use") func variety() {
    let leads = samples(1000, of: Samples(seed: 7, hostilePercent: 0)).compactMap(lead)
    for (intent, share) in [("buy", 34), ("rent", 30), ("invest", 14), ("sell", 12), ("browse", 10)] {
      #expect(abs(leads.count { $0.intent == intent } - 10 * share) < 60, "\(intent)")
    }
    let blocks: [ClosedRange<UInt32>] = [
      0x41...0x7A, 0x0621...0x064A, 0x0410...0x044F, 0x0900...0x097F, 0x4E00...0x9FFF,
    ]
    for block in blocks {
      #expect(leads.contains { $0.customerName.unicodeScalars.contains { block ~= $0.value } }, "\(block)")
    }
    #expect(leads.contains { $0.messages.isEmpty } && leads.contains { $0.messages.count > 10 })
    #expect(leads.contains { $0.messages.contains { $0.text.contains("ميزانيتك") } })
    #expect(leads.contains { $0.metadata?["consent"]?["marketing"] == true && $0.metadata?["utm"]?["source"] != nil })
    #expect(Set(leads.map(\.score.quality)) == ["hot", "warm", "cold"])
    #expect(leads.allSatisfy { $0.metadata?["sample"]?["seed"] == 7 })
  }

  @Test("phone numbers and email addresses are from unassigned or reserved ranges") func reservedRanges() {
    let free = ["+97151", "+97157", "+97159", "+97141", "+447700900", "+442079460", "+336399800"].map { $0.prefix(8) }
    let america = ["+1212555", "+1310555", "+1416555"].map { $0.prefix(8) }
    for lead in samples(1500).compactMap(lead) {
      let phone = lead.customerPhone?.e164 ?? ""
      #expect((free + america).contains { phone.hasPrefix($0.prefix(phone.hasPrefix("+971") ? 6 : 8)) }, "\(phone)")
      #expect(!phone.hasPrefix("+1") || phone.dropFirst(8).hasPrefix("01"), "\(phone)")
      guard let email = lead.customerEmail?.text else { continue }
      #expect(
        ["@example.com", "@example.org", "@example.net", "@mail.test"].contains { email.hasSuffix($0) }, "\(email)")
    }
  }

  @Test("phone numbers come in many notations") func notations() {
    let phones = samples(1000, of: Samples(seed: 7, hostilePercent: 0)).compactMap { $0.body["customerPhone"]?.string }
    for start in [
      "+9715", "+971 5", "+971-5", "009715", "05", "(05", "+971 (0)5", "tel:", "٠٥", "۰۵", "＋９", "+44", "+1", "+33",
    ] {
      #expect(phones.contains { $0.hasPrefix(start) }, "\(start)")
    }
  }

  @Test("chats run forward in time, in the 30 days before the given end") func times() {
    let end = Instant(milliseconds: 1_800_000_000_000)
    for lead in samples(500, of: Samples(seed: 7, hostilePercent: 0, end: end)).compactMap(lead) {
      let times = lead.messages.map(\.time).filter { $0 != Samples.defaultEnd }
      #expect(times == times.sorted())
      #expect(times.allSatisfy { -30 * 86_400...3600 ~= $0.seconds(since: end) })
    }
  }

  @Test("idempotency keys differ by number, seed and content") func keys() {
    let made = [(7, 5), (8, 5), (7, 100)].flatMap { seed, percent in
      samples(300, of: Samples(seed: UInt64(seed), hostilePercent: percent, hasKeys: true))
    }
    let different = Set(made.map { $0.body.removing("idempotencyKey").text }).count
    #expect(Set(made.compactMap { $0.body["idempotencyKey"]?.string }).count == different)
    #expect(made.filter { !$0.isRefused }.allSatisfy(isAccepted))
  }
}

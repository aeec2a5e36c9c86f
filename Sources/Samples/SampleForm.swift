import Wire

/// The public intake form for which bodies are generated.
package enum SampleForm: String, Sendable, CaseIterable {
  case lead, contact, inquiry, sell, newsletter
}

extension SampleForm {
  /// Returns a body that the form's handler accepts.
  func body(_ person: Person, _ wish: Wish, from start: Instant, _ random: inout SplitMix64) -> JSON {
    switch self {
    case .lead: Self.lead(person, wish, from: start, &random)
    case .contact: Self.contact(person, wish, &random)
    case .inquiry: Self.inquiry(person, wish, &random)
    case .sell: Self.sell(person, wish, &random)
    case .newsletter:
      [
        "email": .string(person.email),
        "source": .string(random.pick(["footer", "popup", "blog", "landing-page", "نافذة منبثقة"])),
      ]
    }
  }

  private static func lead(_ person: Person, _ wish: Wish, from start: Instant, _ random: inout SplitMix64) -> JSON {
    let messages = Chat.messages(person, wish, from: start, &random)
    let email: JSON = random.chance(65) ? .string(person.email) : random.chance(20) ? "" : .null
    let isScored = random.chance(20)
    let score = random.below(101)
    let body: JSON = [
      "customerName": .string(person.name), "customerPhone": .string(person.phone), "customerEmail": email,
      "intent": .string(wish.intent), "budget": random.chance(85) ? .string(wish.budget) : .null,
      "propertyType": random.chance(85) ? .string(wish.propertyType) : .null,
      "preferredArea": random.chance(85) ? .string(wish.area) : .null, "leadScore": isScored ? JSON(score) : .null,
      "leadQuality": isScored ? .string(score >= 80 ? "hot" : score >= 50 ? "warm" : "cold") : .null,
      "leadScoreBreakdown": isScored ? ["chatbot": JSON(score)] : .null,
      "tags": random.chance(35) ? [.string(random.pick(tags)), .string(random.pick(tags))] : .null,
      "notes": random.chance(20) ? .string(random.pick(notes)) : .null, "metadata": metadata(&random),
      "consent": random.chance(60) ? ["marketing": .bool(random.chance(50)), "policyVersion": "2026-01"] : .null,
      "messages": messages.isEmpty ? .null : .array(messages),
    ]
    return body.withoutNulls
  }

  /// Where the visitor came from.
  private static func metadata(_ random: inout SplitMix64) -> JSON {
    var metadata: JSON = ["device": .string(random.pick(["mobile", "mobile", "desktop", "tablet"]))]
    if random.chance(70) {
      let source = random.pick(["google", "facebook", "instagram", "tiktok", "bayut", "propertyfinder"])
      let utm: JSON = [
        "source": .string(source), "medium": .string(random.pick(["cpc", "social", "email", "organic"])),
        "campaign": .string(random.pick(["marina-launch", "رمضان ٢٠٢٦", "off_plan_q1", "brand"])),
      ]
      metadata = metadata.setting("utm", utm).setting("referrer", .string("https://\(source).example/"))
    }
    return random.chance(50) ? metadata.setting("page", .string(propertyURL(&random))) : metadata
  }

  private static func contact(_ person: Person, _ wish: Wish, _ random: inout SplitMix64) -> JSON {
    let body = reachable(person, &random).setting("subject", .string(random.pick(subjects)))
    let department = random.pick(["sales", "leasing", "management", "general"])
    return body.setting("department", .string(department)).setting("message", .string(text(person, wish, &random)))
  }

  private static func inquiry(_ person: Person, _ wish: Wish, _ random: inout SplitMix64) -> JSON {
    var body = reachable(person, &random).setting("propertyTitle", .string("\(wish.propertyType), \(wish.area)"))
    body = body.setting("propertyUrl", .string(propertyURL(&random)))
    if random.chance(80) { body = body.setting("message", .string(text(person, wish, &random))) }
    return body.setting("budget", .string(wish.budget)).setting("propertyType", .string(wish.propertyType))
  }

  private static func sell(_ person: Person, _ wish: Wish, _ random: inout SplitMix64) -> JSON {
    let address = "\(random.within(1...40) * 100 + random.within(1...12)), \(wish.area)"
    let body = reachable(person, &random).setting("propertyType", .string(wish.propertyType))
      .setting("propertyAddress", .string(address)).setting("expectedPrice", .string(wish.budget))
    return body.setting("propertyDescription", .string(random.pick(notes)))
      .setting("urgency", .string(random.pick(["immediate", "1-3 months", "3-6 months", "just exploring"])))
  }

  /// Returns a name with an email address, a phone number or both.
  private static func reachable(_ person: Person, _ random: inout SplitMix64) -> JSON {
    let ways = random.pick(weighted: [(60, (true, true)), (20, (true, false)), (20, (false, true))])
    let body: JSON = [
      "customerName": .string(person.name), "customerEmail": ways.0 ? .string(person.email) : .null,
      "customerPhone": ways.1 ? .string(person.phone) : .null,
    ]
    return body.withoutNulls
  }

  private static func propertyURL(_ random: inout SplitMix64) -> String {
    "https://truenester.example/properties/" + random.digits(5)
  }

  private static func text(_ person: Person, _ wish: Wish, _ random: inout SplitMix64) -> String {
    person.writesArabic
      ? random.pick([
        "السلام عليكم، أرجو التواصل معي بخصوص \(wish.propertyType) في \(wish.area).",
        "هل ما زال متاحا؟ الميزانية \(wish.budget)",
      ])
      : random.pick([
        "Hello, please contact me about the \(wish.propertyType) in \(wish.area).",
        "Is it still available? My budget is \(wish.budget).\nI can view it any evening after 6.",
        "Dear Sir/Madam,\n\nkindly send details & floor plan.\n\nRegards,\n\(person.name)",
      ])
  }

  private static let tags = ["vip", "cash-buyer", "mortgage", "golden visa", "urgent", "family", "مستثمر", "returning"]

  private static let subjects = [
    "Viewing request", "Question about service charges", "استفسار", "Re: your ad", "Mortgage",
  ]

  private static let notes = [
    "Wants a high floor, no pets.", "Upgraded kitchen, tenanted until August; notice served.", "يفضل التواصل مساء",
    "Travels a lot: call after 18:00 GST.", "Vacant on transfer. 2 parking spaces, sea view 🌊",
    "ASAP, visa expires soon",
  ]
}

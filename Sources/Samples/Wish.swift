/// What a customer is looking for: intent, area, property type and budget, in the customer's own words.
struct Wish {
  let intent: String
  let area: String
  let propertyType: String
  let budget: String

  static let intents: [(weight: Int, item: String)] = [
    (34, "buy"), (30, "rent"), (14, "invest"), (12, "sell"), (10, "browse"),
  ]

  init(inArabic: Bool, isSale: Bool, _ random: inout SplitMix64) {
    intent = isSale ? "sell" : random.pick(weighted: Self.intents)
    let area = random.pick(Self.areas)
    self.area = inArabic ? area.arabic : area.english
    let type = random.pick(Self.propertyTypes)
    propertyType = inArabic ? type.arabic : type.english
    budget = Self.budget(isRent: intent == "rent", inArabic: inArabic, &random)
  }

  /// Returns a budget in one of the formats that people write.
  private static func budget(isRent: Bool, inArabic: Bool, _ random: inout SplitMix64) -> String {
    isRent ? rent(inArabic, &random) : price(inArabic, &random)
  }

  /// Returns a yearly rent from 35,000 to 400,000.
  private static func rent(_ inArabic: Bool, _ random: inout SplitMix64) -> String {
    let thousands = random.chance(70) ? random.within(7...30) * 5 : random.within(15...40) * 10
    if inArabic {
      let number = digits(String(thousands), zero: 0x0660)
      return random.pick(["\(number) ألف درهم سنويا", "حوالي \(number) ألف", "\(thousands),000 درهم", "\(number)٬٠٠٠"])
    }
    return random.pick([
      "\(thousands),000 / year", "AED \(thousands),000 per year", "\(thousands)k", "\(thousands)K yearly, 4 cheques",
      "up to \(thousands)k AED", "\(thousands - 5)k - \(thousands + 5)k", "AED \(thousands * 1000 / 12) / month",
      "around \(thousands) thousand", "Dhs. \(thousands),000/-", "not more than \(thousands)000",
    ])
  }

  /// Formats tenths of a million in groups of three digits: 1,500,000.
  private static func grouped(_ tenths: Int) -> String {
    tenths < 10 ? "\(tenths)00,000" : "\(tenths / 10),\(tenths % 10)00,000"
  }

  /// Returns a price from 400,000 to 24 million.
  private static func price(_ inArabic: Bool, _ random: inout SplitMix64) -> String {
    // In tenths of a million; most people look for less than five million.
    let tenths = random.chance(75) ? random.within(4...49) : random.within(10...48) * 5
    let millions = tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    let more = "\((tenths + 5) / 10).\((tenths + 5) % 10)"
    if inArabic {
      let number = digits(tenths % 10 == 0 ? millions : "\(tenths / 10)٫\(tenths % 10)", zero: 0x0660)
      return random.pick([
        "\(number) مليون درهم", "من \(millions) إلى \(more) مليون", "حوالي \(number) مليون", "\(grouped(tenths)) درهم",
      ])
    }
    return random.pick([
      "AED \(millions)M - \(more)M", "\(millions) million", "\(millions)M", "around \(millions)m AED",
      "AED \(grouped(tenths))", "\(tenths)00000", "up to \(millions) mil", "\(millions)-\(more)M",
      "USD \(tenths * 27)k", "\(millions) million dirhams max", "Between \(millions) and \(more) million",
      "~\(millions)M cash",
    ])
  }
}

extension Wish {
  static let areas: [(english: String, arabic: String)] = [
    ("Dubai Marina", "دبي مارينا"), ("Downtown Dubai", "وسط مدينة دبي"), ("Palm Jumeirah", "نخلة جميرا"),
    ("Business Bay", "الخليج التجاري"), ("JVC", "قرية جميرا الدائرية"), ("JLT", "أبراج بحيرات جميرا"),
    ("Arabian Ranches", "المرابع العربية"), ("Dubai Hills Estate", "دبي هيلز استيت"), ("Mirdif", "مردف"),
    ("Al Barsha", "البرشاء"), ("Deira", "ديرة"), ("Bur Dubai", "بر دبي"), ("Dubai Silicon Oasis", "واحة دبي للسيليكون"),
    ("Jumeirah Beach Residence", "جميرا بيتش ريزيدنس"), ("Emirates Hills", "تلال الإمارات"), ("Al Furjan", "الفرجان"),
    ("Dubai Creek Harbour", "خور دبي"), ("DAMAC Hills 2", "داماك هيلز ٢"), ("International City", "المدينة العالمية"),
    ("Discovery Gardens", "ديسكفري جاردنز"), ("Umm Suqeim", "أم سقيم"), ("The Springs", "الينابيع"),
    ("City Walk", "سيتي ووك"), ("Al Quoz", "القوز"),
  ]

  static let propertyTypes: [(english: String, arabic: String)] = [
    ("apartment", "شقة"), ("apartment", "شقة غرفتين"), ("2BR apartment", "شقة غرفة وصالة"), ("studio", "استوديو"),
    ("villa", "فيلا"), ("3 bedroom villa", "فيلا ثلاث غرف"), ("townhouse", "تاون هاوس"), ("penthouse", "بنتهاوس"),
    ("duplex", "دوبلكس"), ("office", "مكتب"), ("shop", "محل"), ("plot", "أرض"),
    ("off-plan apartment", "شقة على الخارطة"),
  ]
}

/// The words of urgency. Arabic words are compared without vowel signs and with one form of alef, ya and ta marbuta.
enum UrgencyRules {
  enum Meaning {
    /// Urgency itself: `urgent`. Negated, it means that nothing is urgent.
    case urgent
    /// A time within a week, or within about a month. Negated, it means nothing.
    case now, soon
    /// Says that nothing is urgent.
    case later
    /// Looks like one of the others, and is none.
    case none
  }

  struct Rule {
    var meaning: Meaning
    /// Words behind it that give it another meaning. `*` stands for any ending.
    var unlessBefore: Set<String> = []
    /// True for an Arabic word that may have an article or preposition.
    var takesArticle = false
  }

  static let words = PhraseTable<Rule>([
    (
      Rule(meaning: .urgent),
      [
        "urgent", "urgently", "asap", "a.s.a.p", "as soon as possible", "as early as possible",
        "as quickly as possible", "emergency",
        "in a hurry", "in hurry", "hurry", "in a rush", "rushing", "cant wait", "cannot wait", "top priority",
        "time sensitive",
      ]
    ),
    (
      Rule(
        meaning: .now, unlessBefore: ["vicinity", "area", "surroundings", "neighborhood", "neighbourhood", "family"]),
      ["immediate"]
    ),
    (
      Rule(meaning: .now),
      [
        "immediately", "today", "tonight", "tomorrow", "this week", "this weekend", "right away", "straight away",
        "right now",
        "within days", "within a week", "in a few days", "few days", "at the earliest", "earliest possible",
      ]
    ),
    (
      Rule(meaning: .soon),
      [
        "soon", "very soon", "this month", "next week", "next month", "within a month", "within the month",
        "within one month",
        "in two weeks", "within two weeks", "in a few weeks", "in a month", "end of the month", "end of month",
        "coming weeks",
      ]
    ),
    (
      Rule(meaning: .later),
      [
        "no rush", "no hurry", "no urgency", "no need to rush", "not rushing", "nonurgent", "nothing urgent",
        "take your time",
        "whenever convenient", "whenever you can", "just browsing", "just exploring", "لا داعي للعجلة",
        "لا داعي للاستعجال", "بدون استعجال",
        "بلا استعجال", "لا يوجد استعجال", "ما في استعجال", "مافي استعجال", "ليس هناك استعجال", "على مهلكم", "على مهلك",
        "على مهل", "خذ وقتك",
        "خذوا وقتكم",
      ]
    ),
    (
      Rule(meaning: .none),
      [
        "as soon as", "too soon", "في اليوم", "اليوم الواحد", "اليوم التالي", "per day", "every day", "rush hour",
        "الإيجار اليوم", "today market",
        "nowadays", "these days",
      ]
    ),
    (
      Rule(meaning: .urgent, takesArticle: true),
      [
        "عاجل", "عاجلا", "عاجلة", "مستعجل", "مستعجلا", "مستعجلة", "مستعجلين", "مستعجلون", "طارئ", "طارئة", "ضروري",
        "ضرورية", "ضروريا", "ملح",
      ]
    ),
    (
      Rule(meaning: .urgent),
      [
        "بسرعة", "بأسرع وقت", "أسرع وقت", "أسرع ما يمكن", "بأسرع ما يمكن", "أقرب وقت", "أقرب فرصة", "بأقرب وقت",
        "على وجه السرعة", "وجه السرعة",
      ]
    ),
    (
      Rule(meaning: .now),
      [
        "فورا", "فوري", "فورية", "الفوري", "اليوم", "الليلة", "هذا الأسبوع", "هالأسبوع", "خلال أسبوع", "خلال أيام",
        "الآن", "حالا", "في الحال",
        "غدا", "بكرة", "بكرا", "الحين", "دلوقتي",
      ]
    ),
    (Rule(meaning: .soon, unlessBefore: ["من", "ل", "الى", "علي", "لل*", "منها", "منه"]), ["قريبا"]),
    (
      Rule(meaning: .soon),
      [
        "هذا الشهر", "هالشهر", "الشهر القادم", "الشهر المقبل", "الشهر الجاي", "الشهر الياي", "الأسبوع القادم",
        "الأسبوع المقبل",
        "الأسبوع الجاي", "الأسبوع الياي", "نهاية الشهر", "آخر الشهر", "خلال شهر", "خلال أسبوعين", "خلال هذا الشهر",
        "عن قريب", "في القريب العاجل",
      ]
    ),
  ])

  static let negations = PhraseTable<Void>([
    "not", "no", "non", "isnt", "arent", "wasnt", "aint", "never", "nothing", "dont", "doesnt", "didnt", "without",
    "nor", "neither", "hardly",
    "less", "wont", "cannot", "غير", "ليس", "ليست", "لست", "لسنا", "ليسوا", "مو", "مش", "مب", "موب", "مهو", "ماهو",
    "مانه", "لا", "ما", "بدون", "بلا",
    "دون", "لم", "لن", "ولا", "مافي", "مافيه",
  ])

  /// Words between a negation and what it negates.
  static let fillers = PhraseTable<Void>([
    "so", "that", "very", "really", "too", "super", "quite", "particularly", "exactly", "terribly", "extremely",
    "especially", "necessarily",
    "overly", "at", "all", "a", "an", "any", "the", "in", "it", "this", "as", "be", "is", "to", "need", "needed",
    "required", "looking", "for",
    "move", "moving", "buy", "buying", "rent", "renting", "want", "much", "of", "my", "matter", "-", "have", "planning",
    "do", "available",
    "me", "necessary", "before",
    "هو", "هي", "هناك", "شيء", "أمر", "الأمر", "أمرا", "الموضوع", "موضوع", "طلب", "الطلب", "جدا", "بشكل", "في", "من",
    "على", "لدي", "عندي", "كتير",
    "كثيرا", "أي", "أنا", "بالضرورة", "بالأمر", "بحاجة", "أريد", "أريده", "أحتاج", "أحتاجه", "أحتاجها", "يوجد", "شي",
    "أبدا", "بهذا", "حاجة", "إلى",
    "عجلة", "شقة", "فيلا", "سكن", "منزل",
  ])

  static let denials = PhraseTable<Void>(["no", "not", "false", "لا", "none", "low"])
  static let articles = ["وال", "بال", "فال", "كال", "لل", "ال", "ب", "ك", "ل"]
}

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
        "as soon as you can", "as soon as we can", "sooner the better", "mosta3jel", "mosta3jil", "mosta3jela",
        "mosta3jleen", "mesta3jel", "mesta3jil", "msta3jel", "msta3jil", "musta3jil", "mosta3gel", "mesta3gel",
        "mosta3gela", "3ajel", "3ajil", "3agel", "daroori", "darori", "dharoori", "zaroori", "jaldi",
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
        "within days", "at the earliest", "earliest possible", "move now", "move in now", "need it now", "ready now",
      ]
    ),
    (
      Rule(meaning: .soon),
      [
        "soon", "very soon", "this month", "next week", "next month", "within the month", "end of the month",
        "end of month", "coming weeks",
      ]
    ),
    (
      Rule(meaning: .later),
      [
        "no rush", "no hurry", "no urgency", "no need to rush", "not rushing", "nonurgent", "nothing urgent",
        "take your time", "mo mosta3jel", "mo mosta3jil", "mu mosta3jil", "mob mosta3jel", "mo 3ajel",
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
        "as soon as", "too soon", "urgent care", "عاجلا أم آجلا", "عاجلا أو آجلا", "في اليوم", "اليوم الواحد",
        "اليوم التالي", "per day", "every day", "rush hour",
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
        "بأقرب فرصة", "على الفور",
        "على وجه السرعة", "وجه السرعة",
      ]
    ),
    (
      Rule(meaning: .now),
      [
        "فورا", "فوري", "فورية", "الفوري", "اليوم", "الليلة", "هذا الأسبوع", "هالأسبوع", "خلال أيام", "باجر",
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
        "الأسبوع الجاي", "الأسبوع الياي", "نهاية الشهر", "آخر الشهر", "خلال هذا الشهر",
        "عن قريب", "في القريب العاجل",
      ]
    ),
  ])

  /// Words before a span of time: `within 2 weeks`, `in the next few days`, `خلال يومين`.
  static let within = PhraseTable<Void>([
    "in", "within", "in the next", "within the next", "over the next", "in next", "the next", "خلال", "في خلال",
    "في غضون",
  ])
  static let counts = PhraseTable<Double>([
    (1, ["a", "an", "one"]), (2, ["two", "couple of", "a couple of"]), (3, ["few", "a few", "three", "ثلاثة", "ثلاث"]),
  ])
  /// Spans of time in days.
  static let spans = PhraseTable<Double>([
    (1.0 / 24, ["hour", "hours", "hrs", "ساعة", "ساعات"]), (1, ["day", "days", "يوم", "أيام", "يوما"]), (2, ["يومين"]),
    (7, ["week", "weeks", "أسبوع", "أسابيع"]), (14, ["أسبوعين"]), (30, ["month", "شهر"]),
  ])

  static let negations = PhraseTable<Void>([
    "not", "no", "non", "isnt", "arent", "wasnt", "aint", "never", "nothing", "dont", "doesnt", "didnt", "without",
    "nor", "neither", "hardly",
    "less", "wont", "cannot", "cant", "couldnt", "wouldnt", "shouldnt", "hasnt", "havent", "by no means", "no longer",
    "far from", "dont think its", "dont think it is", "dont think this is", "wouldnt say its", "wouldnt say it is",
    "wouldnt call it", "not that im", "not that i am", "not that were", "not that we are", "mish", "mesh", "mosh",
    "mush", "msh", "mub", "ghair", "laysa", "ma", "la", "غير", "ليس", "ليست", "لست", "لسنا", "ليسوا", "مو", "مش", "مب",
    "موب", "مهو", "ماهو",
    "مانه", "موش", "مهوب", "ماهوب", "ماني", "مهي", "ماهي", "مانا", "لا", "ما", "بدون", "بلا",
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
    "me", "necessary", "before", "ready", "able", "going", "yet", "anymore", "call", "contact", "come", "start",
    "هو", "هي", "هناك", "شيء", "أمر", "الأمر", "أمرا", "الموضوع", "موضوع", "طلب", "الطلب", "جدا", "بشكل", "في", "من",
    "على", "لدي", "عندي", "كتير",
    "كثيرا", "أي", "أنا", "بالضرورة", "بالأمر", "بحاجة", "أريد", "أريده", "أحتاج", "أحتاجه", "أحتاجها", "أريدها",
    "نريد", "نريدها", "نحتاج", "نحتاجه", "نحتاجها", "أنتقل", "ننتقل", "تتصل", "تتصلوا",
    "لازم", "يعد", "تعد", "عاد", "عندنا", "يوجد", "شي",
    "أبدا", "بهذا", "حاجة", "إلى",
    "عجلة", "شقة", "فيلا", "سكن", "منزل",
  ])

  static let denials = PhraseTable<Void>(["no", "not", "false", "لا", "none", "low"])
  static let articles = ["وال", "بال", "فال", "كال", "لل", "ال", "ب", "ك", "ل"]
}

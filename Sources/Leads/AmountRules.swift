/// The words and marks by which amounts of money are read. English and Arabic, and what people in Dubai write of
/// other languages. Arabic words are compared without vowel signs and with one form of alef, ya and ta marbuta.
/// It is one file of more than 300 lines because the tables belong together.
enum AmountRules {
  /// Words after a number that multiply it.
  static let units = PhraseTable<Double>([
    (
      1e3,
      [
        "k", "thousand", "thousands", "thou", "grand", "ألف", "ألفا", "آلاف", "الاف", "هزار", "alf", "alaf",
        "hazar", "hazaar", "тыс", "тысяч", "тысячи",
      ]
    ),
    (1e4, ["万"]),
    (1e5, ["lakh", "lakhs", "lac", "lacs", "l"]),
    (
      1e6,
      [
        "m", "mm", "mn", "mil", "mill", "mln", "mio", "million", "millions", "milion", "milions", "milyon", "miliyon",
        "malyon", "malyoon", "melyon", "mlion", "millones", "millionen", "млн", "миллион", "миллиона", "миллионов",
        "百万", "مليون", "مليونا", "ملايين", "ملیون",
        "میلیون",
      ]
    ),
    (1e7, ["cr", "crore", "crores", "千万"]), (1e8, ["亿"]),
    (1e9, ["b", "bn", "billion", "billions", "مليار", "مليارات", "بليون", "млрд", "میلیارد"]),
  ])

  /// Units that are an amount without a number: `مليون درهم`, `ألفين درهم`.
  static let unitsWithNumber = PhraseTable<(number: Double, factor: Double)>([
    ((1, 1e6), ["مليون", "مليونا", "بمليون", "لمليون"]),
    ((2, 1e6), ["مليونين", "مليونان", "بمليونين", "لمليونين"]), ((2, 1e3), ["ألفين", "ألفان", "بألفين"]),
    ((1, 1e3), ["ألف", "بألف"]), ((2, 1e9), ["مليارين", "ملياران"]), ((1, 1e9), ["مليار", "بمليار"]),
  ])

  /// Numbers in words. They are read only before a unit: `two million`, `خمسة ملايين`.
  static let numerals = PhraseTable<Double>([
    (0.25, ["quarter", "a quarter", "quarter of a", "a quarter of a", "ربع"]),
    (0.5, ["half", "half a", "half of a", "نصف", "نص"]), (1, ["a", "one", "واحد"]), (1.5, ["one and a half"]),
    (2, ["two", "اثنين", "اثنان"]), (3, ["three", "ثلاثة", "ثلاث", "تلاتة"]), (4, ["four", "أربعة", "أربع"]),
    (5, ["five", "خمسة", "خمس"]), (6, ["six", "ستة", "ست"]), (7, ["seven", "سبعة", "سبع"]),
    (8, ["eight", "ثمانية", "ثماني", "ثمان"]), (9, ["nine", "تسعة", "تسع"]), (10, ["ten", "عشرة", "عشر"]),
    (11, ["eleven", "أحد عشر"]), (12, ["twelve", "اثنا عشر", "اثني عشر"]), (13, ["thirteen"]), (14, ["fourteen"]),
    (15, ["fifteen"]), (16, ["sixteen"]), (17, ["seventeen"]), (18, ["eighteen"]), (19, ["nineteen"]),
    (20, ["twenty", "عشرين", "عشرون"]),
    (25, ["twenty five"]), (30, ["thirty", "ثلاثين", "ثلاثون"]), (40, ["forty", "أربعين", "أربعون"]),
    (50, ["fifty", "خمسين", "خمسون"]), (60, ["sixty", "ستين", "ستون"]), (70, ["seventy", "سبعين", "سبعون"]),
    (80, ["eighty", "ثمانين", "ثمانون"]), (90, ["ninety", "تسعين", "تسعون"]),
    (100, ["hundred", "a hundred", "one hundred", "مية", "مئة", "مائة"]),
    (200, ["two hundred", "مئتين", "مئتي", "مائتين", "مائتي", "ميتين"]),
    (300, ["three hundred", "ثلاثمئة", "ثلاثمائة"]), (400, ["four hundred", "أربعمئة", "أربعمائة"]),
    (500, ["five hundred", "خمسمئة", "خمسمائة"]), (600, ["six hundred", "ستمئة", "ستمائة"]),
    (700, ["seven hundred", "سبعمئة", "سبعمائة"]), (800, ["eight hundred", "ثمانمئة", "ثمانمائة"]),
    (900, ["nine hundred", "تسعمئة", "تسعمائة"]),
  ])

  /// Parts of a unit that are added to the number before them.
  static let fractions = PhraseTable<Double>([
    (0.5, ["and a half", "and half", "& half", "ونصف", "و نصف", "ونص", "و نص"]),
    (0.25, ["and a quarter", "وربع", "و ربع"]),
    (0.75, ["and three quarters"]),
  ])

  static let currencies = PhraseTable<String>([
    (
      "AED",
      [
        "aed", "aeds", "dh", "dhs", "dhr", "dhrs", "dhm", "dhms", "\u{20C3}", "дирхам", "дирхама", "дирхамов", "迪拉姆",
        "dirham", "dirhams", "dirhems", "derham", "derhams", "uae dirham",
        "uae dirhams", "emirati dirham", "د.إ", "د.ا", "د إ", "درهم", "درهما", "دراهم", "درهم إماراتي", "الدرهم",
      ]
    ),
    (
      "USD",
      [
        "usd", "us$", "us $", "$", "dollar", "dollars", "us dollar", "us dollars", "دولار", "دولارات", "долларов",
        "доллара", "美元",
      ]
    ),
    ("EUR", ["eur", "euro", "euros", "€", "يورو", "евро"]),
    ("GBP", ["gbp", "£", "pound", "pounds", "sterling", "pounds sterling", "جنيه استرليني", "جنيه إسترليني"]),
    ("INR", ["inr", "₹", "rs", "rs.", "rupee", "rupees", "روبية"]),
    ("PKR", ["pkr"]),
    ("SAR", ["sar", "riyal", "riyals", "saudi riyal", "saudi riyals", "ريال", "ريال سعودي", "ر.س"]),
    ("QAR", ["qar", "qatari riyal", "qatari riyals", "ريال قطري"]),
    ("KWD", ["kwd", "kd", "kuwaiti dinar", "دينار كويتي", "د.ك"]),
    ("BHD", ["bhd", "دينار بحريني"]), ("OMR", ["omr", "ريال عماني"]), ("JOD", ["jod", "دينار أردني"]),
    ("EGP", ["egp", "egyptian pounds", "جنيه", "جنيه مصري"]),
    ("RUB", ["rub", "₽", "rubles", "roubles", "рублей", "руб"]), ("CNY", ["cny", "rmb", "¥", "yuan"]),
    ("CHF", ["chf", "francs"]),
    ("CAD", ["cad"]), ("AUD", ["aud"]), ("SGD", ["sgd"]), ("TRY", ["₺"]), ("IRR", ["irr", "تومان", "toman"]),
  ])

  // MARK: - Periods

  /// Words that are a period alone: `80,000 yearly`, `monthly 12,500`.
  static let adverbs = PhraseTable<AmountPeriod>([
    (
      .month,
      [
        "monthly", "montly", "monthy", "pcm", "p.c.m", "pm", "p.m", "ppm", "شهريا", "شهري", "الشهري", "الشهرية",
        "شهرية", "ماهانه",
        "shahri", "shahriyan", "sharhi", "bil shahr", "bel shahr", "в месяц", "每月",
      ]
    ),
    (
      .year,
      [
        "yearly", "annually", "anually", "annual", "pa", "p.a", "سنويا", "سنوي", "السنوي", "السنوية", "سنوية", "سالانه",
        "sanawi", "sanawiyan", "bil sana", "bel sana", "в год", "每年",
      ]
    ),
    (.week, ["weekly", "pw", "p.w", "أسبوعيا", "أسبوعي", "الأسبوعي", "أسبوعية"]),
    (.day, ["daily", "nightly", "pn", "يوميا", "يومي", "اليومي", "يومية", "اليومية"]),
    (.quarter, ["quarterly", "pq"]),
    (.halfYear, ["half yearly", "half-yearly", "biannually", "semiannually"]),
    (.month, ["p/m", "p / m", "في الشهر", "بالشهر", "للشهر", "كل شهر", "لكل شهر", "الشهر", "شهر"]),
    (
      .year,
      [
        "p/a", "p/y", "في السنة", "بالسنة", "للسنة", "كل سنة", "لكل سنة", "في العام", "بالعام", "كل عام", "سنة",
        "السنة",
      ]
    ),
    (.week, ["p/w", "في الأسبوع", "بالأسبوع", "للأسبوع", "كل أسبوع"]),
    (.day, ["في اليوم", "باليوم", "لليوم", "كل يوم", "لليلة", "في الليلة", "بالليلة", "لكل ليلة"]),
  ])

  /// Names of periods after `per`, `a`, `/` and the like.
  static let nouns = PhraseTable<AmountPeriod>([
    (.month, ["month", "mo", "mth", "mnth", "mon", "months", "m", "calendar month", "شهر", "الشهر", "ماه"]),
    (
      .year,
      [
        "year", "yr", "years", "yrs", "y", "annum", "anum", "12 months", "12 شهر", "12 شهرا", "سنة", "السنة", "عام",
        "العام", "سال",
      ]
    ),
    (.week, ["week", "wk", "w", "weeks", "أسبوع", "الأسبوع"]),
    (.day, ["day", "night", "d", "يوم", "اليوم", "ليلة", "الليلة"]),
    (.quarter, ["quarter", "3 months"]), (.halfYear, ["half year", "half-year", "6 months", "six months"]),
    (.year, ["twelve months"]),
  ])

  /// Words between an amount and the name of its period.
  static let per = PhraseTable<Void>([
    "per", "p/", "/", "a", "an", "each", "every", "for a", "for one", "for 1", "in a", "for the", "by the", "for", "x",
    "*", "في",
    "كل", "لكل", "per each", "/ per", "/1", "/ 1", "@", "\\", "|", "دفعة", "in one", "over", "during a", "لمدة", "على",
  ])

  /// Words that may stand between an amount and its period.
  static let beforePeriod = PhraseTable<Void>([
    "(", "-", "only", "max", "maximum", "rent", "in rent", "rental", "total", "all in", "net", "gross", "or so",
    "approx", "تقريبا",
    "فقط", "/-", "/=", "[", "+", "~", "إيجار", "budget", "cash", "or less", "كحد أقصى", "بحد أقصى",
  ])

  /// Words that may stand between a period and the amount behind it.
  static let afterPeriod = PhraseTable<Void>([
    "rent", "rental", "budget", "payment", "income", "is", "of", "around", "about", "approx", "up", "to", "at", ":",
    "-", "=",
    "max", "maximum", "roughly", "my", "the", "are", "under", "below", "from", "between", "price", "installment",
    "installments", "instalments", "(", ")", "~", "not", "more", "than", "would", "be", "will", "payments",
    "i", "we", "can", "pay", "afford", "حوالي", "هو", "هي", "الميزانية", "ميزانية", "بحدود", "من", "حتى", "بين",
    "تقريبا", "لا", "يتجاوز", "تتجاوز",
    "إيجار", "الإيجار",
  ])

  // MARK: - Ranges and limits

  static let rangeMarks = PhraseTable<Void>([
    "-", "--", "~", "to", "till", "until", "upto", "up to", "..", "...", "->", "to around", "to about", "or", "إلى",
    "الى", "لـ", "ل", "حتى",
    "لغاية", "تا", "до", "bis", "أو", "and", "&", "و",
  ])
  /// Marks between numbers of which the second has a unit: `80/90k`, `2M/3M`.
  static let tightRangeMarks = PhraseTable<Void>(["/"])

  enum Limit { case most, least }

  static let limitsBefore = PhraseTable<Limit>([
    (
      .most,
      [
        "under", "below", "max", "maximum", "max.", "up to", "upto", "less than", "no more than", "not more than",
        "not over",
        "not exceeding", "cant exceed", "cannot exceed", "not exceed", "dont exceed", "wont exceed", "at most",
        "within", "<", "<=", "≤", "not above", "cap", "capped at", "no higher than",
        "أقل من", "حتى", "بحد أقصى", "كحد أقصى", "لا يتجاوز", "لا تتجاوز", "لا يزيد عن", "لا تزيد عن", "ما يزيد عن",
        "ليس أكثر من",
        "لغاية", "تحت", "أقصى حد", "حد أقصى", "الحد الأقصى", "до",
      ]
    ),
    (
      .least,
      [
        "from", "min", "minimum", "min.", "over", "above", "more than", "at least", "starting", "starting at",
        "starting from",
        "not less than", "no less than", ">", ">=", "≥", "أكثر من", "على الأقل", "لا يقل عن", "لا تقل عن", "ابتداء من",
        "فوق", "من", "от", "الحد الأدنى", "حد أدنى",
      ]
    ),
  ])
  /// Words between a limit and its amount: `maximum of 2M`, `my max is 2M`.
  static let limitFillers = PhraseTable<Void>([
    "of", "is", "my", "the", "a", "budget", "price", "rent", "about", "around", ":", "-", "هو", "هي", "ميزانية",
    "الميزانية",
    "الميزانية هي", "للميزانية",
  ])

  static let limitsAfter = PhraseTable<Limit>([
    (
      .most,
      [
        "max", "maximum", "or less", "or below", "and below", "at most", "tops", "كحد أقصى", "بحد أقصى", "أو أقل",
        "فأقل",
      ]
    ),
    (
      .least,
      [
        "+", "plus", "or more", "and above", "or above", "and up", "min", "minimum", "at least", "على الأقل",
        "كحد أدنى",
        "فأكثر", "أو أكثر", "فما فوق",
        "وما فوق",
      ]
    ),
  ])

  // MARK: - What is no amount

  /// Words after a number that make it an area or a distance.
  static let measures = PhraseTable<Void>([
    "sqft", "sft", "sq", "sqm", "sqmt", "sqmtr", "square", "ft", "feet", "foot", "psf", "meter", "meters", "metre",
    "metres", "mtr",
    "mtrs", "km", "kms", "kilometers", "kilometres", "mile", "miles", "acre", "acres", "m²", "متر", "مترا", "أمتار",
    "م", "م²", "قدم", "كم",
    "كيلومتر", "كيلو", "%", "percent", "pct", "بالمئة", "بالمائة", "°",
  ])

  /// Words after a number without currency or unit that make it a count, a duration or an order.
  static let counts = PhraseTable<Void>([
    "bed", "beds", "bedroom", "bedrooms", "bdr", "br", "brs", "bhk", "bath", "baths", "bathroom", "bathrooms", "room",
    "rooms",
    "kitchen", "kitchens", "unit", "units", "apartment", "apartments", "villa", "villas", "flat", "flats", "studio",
    "studios", "floor",
    "floors", "parking", "parkings", "cheque", "cheques", "check", "checks", "chq", "chqs", "payment", "payments",
    "installment", "installments", "instalments", "year", "years", "yr", "yrs", "month", "months", "week", "weeks",
    "day", "days",
    "night", "nights", "hour", "hours", "hrs", "min", "mins", "minute", "minutes", "person", "persons", "people",
    "adults", "kids",
    "children", "family", "families", "cars", "car", "am", "pm", "a.m", "p.m", "o", "st", "nd", "rd", "th", "times",
    "properties",
    "property", "plots", "plot", "towers", "offices", "office", "shops", "shop", "townhouse", "townhouses", "stories",
    "storeys",
    "غرفة", "غرف", "غرفتين", "حمام", "حمامات", "حمامين", "شقة", "شقق", "فيلا", "فلل", "طابق", "طوابق", "شيك", "شيكات",
    "دفعة", "دفعات",
    "سنة", "سنوات", "سنين", "عام", "أعوام", "شهر", "شهور", "أشهر", "أسبوع", "أسابيع", "يوم", "أيام", "ساعة", "ساعات",
    "دقيقة", "دقائق",
    "شخص", "أشخاص", "أفراد", "أطفال", "موقف", "مواقف", "وحدة", "وحدات", "صالة", "مطبخ",
  ])

  /// Words before digits without currency or unit, of whatever length, that make them a reference.
  static let identifiers = PhraseTable<Void>([
    "ref", "ref.", "ref:", "ref #", "ref no", "reference", "reference:", "id", "id:", "listing", "permit", "passport",
    "trakheesi", "rera", "brn", "orn", "po box",
  ])

  /// Words before a number without currency or unit that make it a name or a reference.
  static let references = PhraseTable<Void>([
    "#", "no.", "ref", "ref.", "ref:", "ref #", "reference", "reference:", "id", "id:", "unit", "unit no", "tower",
    "building", "bldg",
    "floor", "plot", "phase", "block", "street", "st", "room", "listing", "permit", "apt", "apartment no", "flat",
    "flat no", "villa no",
    "villa", "cluster", "gate", "option", "type", "level", "zone", "district", "po box", "box", "page", "item", "رقم",
    "برج", "شقة رقم", "بناية",
    "مبنى", "طابق", "شارع", "مرحلة", "plan", "sector", "exit", "line", "family of", "party of", "group of",
  ])

  /// Words before a number that make it a telephone number.
  static let telephone = PhraseTable<Void>([
    "call", "call me", "phone", "tel", "telephone", "mobile", "mob", "cell", "whatsapp", "whats app", "wa", "contact",
    "reach", "reach me",
    "text", "text me", "number", "sms", "ring", "dial", "fax", "اتصل", "اتصلوا", "هاتف", "جوال", "موبايل", "واتساب",
    "واتس", "الرقم", "رقمي", "رقم",
    "تواصل", "كلمني", "جوالي", "هاتفي", "تلفون",
  ])
  /// Words between such a word and the number.
  static let telephoneFillers = PhraseTable<Void>([
    "on", "at", "me", "us", "is", ":", "-", ".", "my", "number", "no", "(", "على", "بي", "هو", "علي",
  ])

  /// Words before four digits that make them a year.
  static let yearWords = PhraseTable<Void>([
    "in", "by", "since", "until", "till", "of", "year", "end", "early", "mid", "late", "from", "before", "after",
    "during", "handover",
    "completion", "built", "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november",
    "december", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "q", "/", "عام",
    "سنة", "في", "قبل", "بعد",
    "منذ", "نهاية", "تسليم",
  ])

  /// Words that may follow a small number without currency or unit, as in `100 max`.
  static let fillers = PhraseTable<Void>([
    "to", "or", "and", "max", "maximum", "min", "minimum", "only", "per", "a", "approx", "approximately", "about",
    "budget", "cash",
    "negotiable", "total", "is", "each", "every", "until", "till", "upto", "up", "monthly", "yearly", "annually",
    "annual", "weekly", "daily",
    "pcm", "pa", "pw", "plus", "net", "tops", "rent", "إلى", "أو", "و", "حتى", "فقط", "تقريبا", "شهريا", "سنويا", "في",
    "كحد", "بحد", "لكل",
    "كل", "not", "but", "for", "if", "with", "at", "in", "ل",
  ])

  /// Words after `50 m` that make it a distance.
  static let distance = PhraseTable<Void>([
    "from", "away", "walk", "walking", "sq", "square", "wide", "long", "distance", "near", "من", "عن", "مربع", "مربعا",
  ])
}

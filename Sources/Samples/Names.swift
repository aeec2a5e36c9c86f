/// A part of a name as its owner writes it, and after `=` in the letters of an email address.
struct NamePart: ExpressibleByStringLiteral {
  let written: String
  let latin: String

  init(stringLiteral text: String) {
    let parts = text.split(separator: "=")
    written = String(parts[0])
    latin = String(parts[parts.count - 1])
  }
}

/// A community in Dubai whose members write their names in the same way.
struct Community {
  let given: [NamePart]
  let family: [NamePart]
  var writesArabic = false
  var familyFirst = false
  var separator = " "
}

extension Community {
  /// The communities, weighted by their share in percent.
  static let all: [(weight: Int, item: Community)] = [
    (22, arabic), (20, arabicInLatin), (20, southAsian), (1, hindi), (1, urdu), (1, malayalam), (9, filipino),
    (5, russian), (4, russianInLatin), (4, chinese), (5, chineseInLatin), (8, others),
  ]

  private static let arabic = Community(
    given: [
      "سارة=Sara", "محمد=Mohammed", "أحمد=Ahmed", "فاطمة=Fatima", "عبدالله=Abdullah", "مريم=Mariam", "خالد=Khalid",
      "نورة=Noura", "سلطان=Sultan", "عائشة=Aisha", "يوسف=Yousef", "هند=Hind", "راشد=Rashid", "لطيفة=Latifa",
      "عمر=Omar", "شيخة=Sheikha", "زينب=Zainab", "إبراهيم=Ibrahim", "آمنة=Amna", "مُحَمَّد=Muhammad",
    ],
    family: [
      "المنصوري=AlMansoori", "الهاشمي=AlHashimi", "آل مكتوم=AlMaktoum", "الزعابي=AlZaabi", "الكعبي=AlKaabi",
      "النعيمي=AlNuaimi", "حداد=Haddad", "الخطيب=AlKhatib", "بن سعيد=BinSaeed", "الشامسي=AlShamsi", "قاسم=Qasim",
      "العلي=AlAli", "المصري=AlMasri", "خوري=Khoury",
    ], writesArabic: true)

  private static let arabicInLatin = Community(
    given: [
      "Sara", "Omar", "Layla", "Khalid", "Fatima", "Hassan", "Noor", "Yousef", "Mariam", "Tariq", "Rania", "Ali",
      "Huda", "Abdul Rahman", "Zayed", "Dina", "Karim", "Salma", "Sheikha", "Mohammed",
    ],
    family: [
      "Al Mansoori", "Al-Hashimi", "Haddad", "Khoury", "El Sayed", "Bin Rashid", "Al Suwaidi", "Najjar", "Abu Zeid",
      "Al Marri", "Darwish", "Hamdan", "Al Balushi", "Mansour",
    ])

  private static let southAsian = Community(
    given: [
      "Priya", "Rahul", "Ayesha", "Muhammad Usman", "Anjali", "Vikram", "Fathima", "Arjun", "Sana", "Deepak", "Lakshmi",
      "Imran", "Nisha", "Rohan", "Zara", "Sandeep", "Meera", "Tharindu", "Nusrat", "Bishal",
    ],
    family: [
      "Sharma", "Khan", "Patel", "Nair", "Iyer", "Malik", "Singh", "Perera", "Chowdhury", "Gurung", "Fernandes",
      "Reddy",
      "Siddiqui", "Menon", "Hussain", "Venkatasubramanian",
    ])

  private static let hindi = Community(
    given: ["प्रिया=Priya", "राहुल=Rahul", "दीपक=Deepak", "सुनीता=Sunita"], family: ["शर्मा=Sharma", "पटेल=Patel", "सिंह=Singh"])

  private static let urdu = Community(
    given: ["عائشہ=Ayesha", "عمران=Imran", "زارا=Zara", "حُسین=Hussain"],
    family: ["خان=Khan", "صدیقی=Siddiqui", "ملک=Malik"])

  private static let malayalam = Community(
    given: ["ലക്ഷ്മി=Lakshmi", "അർജുൻ=Arjun", "ഫാത്തിമ=Fathima"], family: ["നായർ=Nair", "മേനോൻ=Menon", "തോമസ്=Thomas"])

  private static let filipino = Community(
    given: [
      "Maria Cristina", "Jose", "Angelica", "Mark Anthony", "Jhunel", "Rowena", "Paolo", "Mary Grace", "Niño=Nino",
    ],
    family: ["Dela Cruz", "Santos", "Reyes", "Peña=Pena", "Bautista", "Ocampo", "Villanueva", "Núñez=Nunez", "Garcia"])

  // Only family names that are the same for men and women.
  private static let russian = Community(
    given: ["Анна=Anna", "Дмитрий=Dmitry", "Алёна=Alyona", "Сергей=Sergey", "Екатерина=Ekaterina", "Алексей=Alexey"],
    family: ["Шевченко=Shevchenko", "Черных=Chernykh", "Мельник=Melnik", "Седых=Sedykh", "Щерба=Shcherba"])

  private static let russianInLatin = Community(
    given: ["Anna", "Dmitry", "Olga", "Sergey", "Ekaterina", "Alexey", "Svetlana", "Maxim"],
    family: ["Shevchenko", "Chernykh", "Melnik", "Sedykh", "Bondarenko", "Kravchuk"])

  private static let chinese = Community(
    given: ["伟=Wei", "芳=Fang", "秀英=Xiuying", "敏=Min", "静怡=Jingyi", "磊=Lei", "浩然=Haoran", "𠮷生=Jisheng"],
    family: ["王=Wang", "李=Li", "張=Zhang", "刘=Liu", "陈=Chen", "欧阳=Ouyang"], familyFirst: true, separator: "")

  private static let chineseInLatin = Community(
    given: ["Wei", "Fang", "Xiuying", "Jingyi", "Haoran", "Lei", "Lǜ=Lv"],
    family: ["Wang", "Li", "Zhang", "Liu", "Chen", "Ouyang", "Ng"], familyFirst: true)

  private static let others = Community(
    given: [
      "James", "Siobhán=Siobhan", "François=Francois", "Anke", "Giulia", "Łukasz=Lukasz", "Zoë=Zoe", "Jo", "Tunde",
    ],
    family: [
      "O'Brien=OBrien", "Müller=Mueller", "Smith-Jones=SmithJones", "Dvořák=Dvorak", "van der Berg", "García=Garcia",
      "Nguyễn=Nguyen", "Okonkwo", "Ó Súilleabháin=OSuilleabhain",
    ])
}

import Wire

/// A chat between the bot and a customer, as the chatbot sends it.
enum Chat {
  /// A question of the bot and possible answers. `{name}`, `{area}`, `{type}` and `{budget}` are replaced by the values
  /// of the person and the wish.
  private typealias Turn = (question: String, answers: [String])

  /// Returns the messages of zero to six turns, with 2 to 90 seconds between messages.
  static func messages(_ person: Person, _ wish: Wish, from start: Instant, _ random: inout SplitMix64) -> [JSON] {
    let turns = person.writesArabic ? arabic(wish.intent) : english(wish.intent)
    let count = random.pick(weighted: [(15, 0), (15, 1), (20, 2), (20, 4), (30, turns.count)])
    var time = start
    var messages: [JSON] = []
    func say(_ sender: String, _ template: String, _ random: inout SplitMix64) {
      time = Instant(milliseconds: time.milliseconds + random.within(2_000...90_000))
      messages.append(message(sender, fill(template, person, wish), at: time, number: messages.count + 1, &random))
    }
    for turn in turns.prefix(count) {
      say("bot", turn.question, &random)
      say(random.chance(90) ? "user" : "customer", random.pick(turn.answers), &random)
    }
    if count == turns.count, random.chance(20) { say("agent", "Hello {name}, I am on it. 👍", &random) }
    return messages
  }

  private static func message(
    _ sender: String, _ text: String, at time: Instant, number: Int, _ random: inout SplitMix64
  ) -> JSON {
    var message: JSON = ["id": .string(random.chance(80) ? random.uuid() : "msg-\(number)"), "sender": .string(sender)]
    message = message.setting("messageText", .string(text))
    if random.chance(30) { message = message.setting("messageType", "text") }
    if random.chance(95) { message = message.setting("timestamp", .string(time.iso8601)) }
    if sender == "bot", random.chance(10) { message = message.setting("metadata", ["quickReplies": 3]) }
    return message
  }

  private static func fill(_ template: String, _ person: Person, _ wish: Wish) -> String {
    var text = ""
    for (index, part) in template.split(separator: "{", omittingEmptySubsequences: false).enumerated() {
      guard index > 0, let end = part.firstIndex(of: "}") else {
        text += part
        continue
      }
      switch part[..<end] {
      case "name": text += person.givenName
      case "area": text += wish.area
      case "type": text += wish.propertyType
      default: text += wish.budget
      }
      text += part[part.index(after: end)...]
    }
    return text
  }

  private static func english(_ intent: String) -> [Turn] {
    let wishes =
      switch intent {
      case "buy":
        ["I want to buy a {type}", "hi, looking for {type} in {area} to buy", "Is the {type} still available??"]
      case "rent":
        ["I need a {type} for rent", "hello, {type} in {area}, moving next month", "Any {type} to rent asap?"]
      case "invest":
        ["I want to invest, what ROI in {area}?", "looking for off-plan with payment plan", "Best yield for {budget}?"]
      case "sell": ["I want to sell my {type}", "How much is my {type} in {area} worth?", "pls call me, I am selling"]
      default: ["just browsing", "Only looking around for now 🙂", "hi"]
      }
    return [
      ("Welcome to TrueNester! How can I help you today?", wishes),
      (
        "Which area do you prefer?",
        ["{area}", "{area} or nearby", "somewhere close to the metro, maybe {area}", "anything but {area}"]
      ),
      (
        "What kind of property?",
        ["{type}", "a {type} with balcony & sea view", "{type}, furnished", "not sure, {type}?"]
      ),
      (
        "What is your budget?",
        ["{budget}", "{budget} max", "My budget is {budget}, a bit flexible", "depends… {budget}"]
      ),
      (
        "When would you like to move?",
        ["this week", "ASAP", "next month", "no hurry", "after Ramadan", "by the end of the year"]
      ),
      (
        "Thank you {name}, how can we reach you?",
        ["call me please", "WhatsApp only", "email is better", "You have my number."]
      ),
    ]
  }

  private static func arabic(_ intent: String) -> [Turn] {
    let wishes =
      switch intent {
      case "buy": ["أريد شراء {type}", "السلام عليكم، أبحث عن {type} في {area}"]
      case "rent": ["أريد استئجار {type}", "مرحبا، {type} للإيجار في {area} لو سمحت"]
      case "invest": ["أريد الاستثمار في {area}، كم العائد؟", "ما هي أفضل المشاريع بميزانية {budget}؟"]
      case "sell": ["أريد بيع {type}", "كم سعر {type} في {area}؟"]
      default: ["مجرد استفسار", "أتصفح فقط، شكرا"]
      }
    return [
      ("مرحبا بك في TrueNester! كيف يمكنني مساعدتك؟", wishes),
      ("ما المنطقة المفضلة لديك؟", ["{area}", "{area} أو قريب منها", "أي منطقة قريبة من المترو"]),
      ("ما نوع العقار؟", ["{type}", "{type} مفروشة", "{type} مع إطلالة على البحر"]),
      ("ما هي ميزانيتك؟", ["{budget}", "الميزانية {budget}", "{budget} تقريبا"]),
      ("متى تود الانتقال؟", ["هذا الأسبوع", "عاجل", "الشهر القادم", "بعد رمضان إن شاء الله", "لست مستعجلا"]),
      ("شكرا {name}، كيف نتواصل معك؟", ["اتصل بي من فضلك", "واتساب فقط", "رقمي عندكم"]),
    ]
  }
}

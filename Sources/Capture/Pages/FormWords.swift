import Forms
import Leads
import Wire

/// The words of a form on a page, in both languages.
package struct FormWords: Sendable {
  struct FieldWords: Sendable {
    let name: String
    let english: String
    let arabic: String
    var type = "text"
    var autocomplete: String?
    var isRequired = false

    func label(_ language: VisitorLanguage) -> String { language.text(english, arabic) }
  }

  /// Hidden fields that the page sends again.
  static let carried = ["thanks", "language", "idempotencyKey", "source", "token"] + GuardFields.names

  let fields: [FieldWords]
  private let titles: (english: String, arabic: String)
  private let buttons: (english: String, arabic: String)
  private let thanks: (english: String, arabic: String)

  func title(_ language: VisitorLanguage) -> String { language.text(titles.english, titles.arabic) }
  func button(_ language: VisitorLanguage) -> String { language.text(buttons.english, buttons.arabic) }
  func thanks(_ language: VisitorLanguage) -> String { language.text(thanks.english, thanks.arabic) }

  private static let send = ("Send", "إرسال")
  private static let received = (
    "Thank you. We have received your message and will get in touch.", "شكراً لك. لقد استلمنا رسالتك وسنتواصل معك."
  )
  private static let person = [
    FieldWords(name: "customerName", english: "Name", arabic: "الاسم", autocomplete: "name", isRequired: true),
    FieldWords(
      name: "customerEmail", english: "Email address", arabic: "البريد الإلكتروني", type: "email", autocomplete: "email"
    ),
    FieldWords(name: "customerPhone", english: "Phone number", arabic: "رقم الهاتف", type: "tel", autocomplete: "tel"),
  ]

  package static let contact = FormWords(
    fields: person + [
      FieldWords(name: "subject", english: "Subject", arabic: "الموضوع"),
      FieldWords(name: "department", english: "Department", arabic: "القسم"),
      FieldWords(name: "message", english: "Message", arabic: "الرسالة", type: "textarea", isRequired: true),
    ], titles: ("Contact", "اتصل بنا"), buttons: send, thanks: received)

  package static let inquiry = FormWords(
    fields: person + [
      FieldWords(name: "propertyTitle", english: "Property", arabic: "العقار"),
      FieldWords(name: "propertyUrl", english: "Address of the property's page", arabic: "رابط صفحة العقار"),
      FieldWords(name: "propertyType", english: "Property type", arabic: "نوع العقار"),
      FieldWords(name: "budget", english: "Budget", arabic: "الميزانية"),
      FieldWords(name: "message", english: "Message", arabic: "الرسالة", type: "textarea"),
    ], titles: ("Property inquiry", "استفسار عن عقار"), buttons: send, thanks: received)

  package static let sell = FormWords(
    fields: person + [
      FieldWords(name: "propertyType", english: "Property type", arabic: "نوع العقار"),
      FieldWords(name: "propertyAddress", english: "Property address", arabic: "عنوان العقار"),
      FieldWords(name: "expectedPrice", english: "Expected price", arabic: "السعر المتوقع"),
      FieldWords(name: "urgency", english: "When", arabic: "متى"),
      FieldWords(name: "propertyDescription", english: "Description", arabic: "الوصف", type: "textarea"),
    ], titles: ("Sell your property", "بيع عقارك"), buttons: send, thanks: received)

  private static let address = FieldWords(
    name: "email", english: "Email address", arabic: "البريد الإلكتروني", type: "email", autocomplete: "email",
    isRequired: true)

  package static let subscribe = FormWords(
    fields: [address], titles: ("Newsletter", "النشرة البريدية"), buttons: ("Subscribe", "اشترك"),
    thanks: ("Thank you. You are subscribed to our newsletter.", "شكراً لك. تم اشتراكك في نشرتنا البريدية."))

  package static let unsubscribe = FormWords(
    fields: [address], titles: ("Unsubscribe from the newsletter", "إلغاء الاشتراك في النشرة البريدية"),
    buttons: ("Unsubscribe", "إلغاء الاشتراك"),
    thanks: (
      "You are unsubscribed. We will send you no more newsletters.", "تم إلغاء اشتراكك. لن نرسل إليك نشرات أخرى."
    ))
}

extension FormWords {
  /// The text of an error for the person who filled in the form.
  static func message(of error: FieldError, _ language: VisitorLanguage) -> String {
    switch error.code {
    case .required, .blank: language.text("Please fill this in.", "يرجى تعبئة هذا الحقل.")
    case .oneRequired:
      language.text(
        "Please give an email address or a phone number.", "يرجى إدخال بريد إلكتروني أو رقم هاتف.")
    case .invalidEmail:
      language.text(
        "Please enter an email address such as name@example.com.", "يرجى إدخال بريد إلكتروني مثل name@example.com.")
    case .invalidPhone:
      language.text("Please enter a phone number with its country code.", "يرجى إدخال رقم هاتف مع رمز الدولة.")
    case .invalidLength: language.text("This is too short or too long.", "هذا النص قصير جداً أو طويل جداً.")
    default: language.text("This value cannot be used.", "لا يمكن استخدام هذه القيمة.")
    }
  }
}

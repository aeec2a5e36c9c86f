import Contract
import Forms
import Wire

/// The page that shows a form again, with what was typed and the errors beside the fields. It posts to the address at
/// which it was shown.
struct FormPage {
  let words: FormWords
  let form: PostedForm
  let errors: [FieldError]
  let language: VisitorLanguage
  let targets: [WebOrigin]

  var reply: Reply {
    let shown = Set(words.fields.map(\.name))
    let others = errors.filter { !shown.contains($0.path) }
    var lines = [
      "<p role=\"alert\">\(escape(language.text("Please correct the fields below.", "يرجى تصحيح الحقول أدناه.")))</p>"
    ]
    lines += others.map { "<p>\(escape(FormWords.message(of: $0, language)))</p>" }
    lines.append("<form method=\"post\" accept-charset=\"utf-8\">")
    lines += words.fields.map(input)
    lines += hidden.map { name, value in
      "<input type=\"hidden\" name=\"\(escape(name))\" value=\"\(escape(value))\">"
    }
    lines.append("<p><button>\(escape(words.button(language)))</button></p>")
    lines.append("</form>")
    return Page(
      language: language, title: words.title(language), body: lines.joined(separator: "\n"), targets: targets
    ).reply(status: 400)
  }

  /// What the first page sent along: it is sent again.
  private var hidden: [(String, String)] {
    FormWords.carried.compactMap { name in
      form[name].flatMap { value in value.isEmpty ? nil : (name, value) }
    }
  }

  private func input(_ field: FormWords.FieldWords) -> String {
    let (name, id) = (escape(field.name), "field-\(escape(field.name))")
    let value = escape(form[field.name] ?? "")
    let faults = errors.filter { $0.path == field.name }
    var attributes = "id=\"\(id)\" name=\"\(name)\""
    if field.isRequired { attributes += " required" }
    if let autocomplete = field.autocomplete { attributes += " autocomplete=\"\(autocomplete)\"" }
    if !faults.isEmpty { attributes += " aria-invalid=\"true\" aria-describedby=\"\(id)-error\"" }
    let control =
      field.type == "textarea"
      // The parser drops one line feed after the tag.
      ? "<textarea \(attributes) rows=\"6\">\n\(value)</textarea>"
      : "<input type=\"\(field.type)\" \(attributes) value=\"\(value)\">"
    let message = faults.map { escape(FormWords.message(of: $0, language)) }.joined(separator: " ")
    return "<p><label for=\"\(id)\">\(escape(field.label(language)))</label><br>\(control)"
      + (faults.isEmpty ? "" : "<br><strong id=\"\(id)-error\">\(message)</strong>") + "</p>"
  }

  private func escape(_ text: String) -> String { Page.escaped(text) }
}

import Forms

extension Description {
  /// The text of `--help`, at most 100 columns wide.
  var usage: String {
    let purpose =
      routes.isEmpty ? "\(summary). A step." : "\(summary). Answers \(routes.map(\.key).joined(separator: ", "))."
    let settings = environment.map { $0.isRequired ? "\($0.name) (required)" : $0.name }.joined(separator: ", ")
    return """
      \(synopsis)

      \(Self.wrapped(purpose))

      Without an argument, it reads one JSON document from stdin and writes the reply to stdout:
        \(name) < request.json

      \(optionLines)
        --describe  print routes, limits, settings and JSON Schemas as one JSON document
        --version   print the version
        -h, --help  print this text

      \(Self.wrapped("Settings are environment variables: \(settings)."))
      \(Self.wrapped("`leadpipe invoke \(name)` runs it with those that the gateway or the worker would give it."))

      """
  }

  /// The lines about what not every handler has.
  private var optionLines: String {
    guard bodyFollows else { return "  --stream    read one JSON document per line, and write a reply line for each" }
    let lines = optionNames.map { "  --\($0.name) \($0.isList ? "VALUE,VALUE…" : "VALUE")\n" }
    return "Options set members of the document; stdin may then be empty:\n\(lines.joined())"
  }

  /// The message about an argument that it does not have.
  func complaint(about word: String) -> String {
    let reason =
      mustBeOnStdin(word)
      ? "every user of this machine could read the value of \(word): send it on stdin"
      : "unexpected argument \(cleanLine(word)); the document is read from stdin"
    return """
      \(name): \(reason)
      \(synopsis)

      """
  }

  /// The first line of the usage.
  var synopsis: String {
    "usage: \(name) [\(bodyFollows ? "--OPTION VALUE…" : "--stream") | --describe | --version | --help]"
  }

  /// Breaks the text between words, so that no line is wider than 100 columns.
  private static func wrapped(_ text: String) -> String {
    var lines = [""]
    for word in text.split(separator: " ") {
      let line = lines[lines.count - 1]
      if !line.isEmpty, line.utf8.count + 1 + word.utf8.count > 100 {
        lines.append(String(word))
      } else {
        lines[lines.count - 1] = line.isEmpty ? String(word) : line + " " + word
      }
    }
    return lines.joined(separator: "\n")
  }
}

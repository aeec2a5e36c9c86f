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

        --stream    read one JSON document per line, and write a reply line for each
        --describe  print routes, limits, settings and JSON Schemas as one JSON document
        --version   print the version
        -h, --help  print this text

      \(Self.wrapped("Settings are environment variables: \(settings)."))
      \(Self.wrapped("`leadpipe invoke \(name)` runs it with those that the gateway or the worker would give it."))

      """
  }

  /// The message about an argument that it does not have.
  func complaint(about word: String) -> String {
    """
    \(name): unexpected argument \(cleanLine(word)); the document is read from stdin
    \(synopsis)

    """
  }

  /// The first line of the usage.
  var synopsis: String { "usage: \(name) [--stream | --describe | --version | --help]" }

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

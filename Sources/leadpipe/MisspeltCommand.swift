import ArgumentParser
import Terminal

/// Finds a command that does not exist, because the argument parser calls it an unexpected argument and suggests
/// nothing.
enum MisspeltCommand {
  /// Returns the error message, or nil if every command in `arguments` exists.
  static func error(in arguments: [String], of command: any ParsableCommand.Type) -> String? {
    let known = command.configuration.subcommands
    guard !known.isEmpty, let word = arguments.first, !word.hasPrefix("-") else { return nil }
    // `leadpipe help lead list` is the help of `leadpipe lead list`.
    if word == "help" { return error(in: Array(arguments.dropFirst()), of: command) }
    if let next = known.first(where: { $0._commandName == word }) {
      return error(in: Array(arguments.dropFirst()), of: next)
    }
    let isRoot = command._commandName == "leadpipe"
    let name = isRoot ? "leadpipe" : "leadpipe \(command._commandName)"
    let shown = known.filter { $0.configuration.shouldDisplay }.map { $0._commandName }
    let options = isRoot ? ["--version", "--help"] : ["--help"]
    let hint = Spelling.hint(word, among: options + shown + ["help"])
    return "\(name) has no command \(Listing.plain(word))\(hint)\nSee `\(name) --help` for its commands.\n"
  }
}

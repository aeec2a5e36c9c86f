import Admin
import ArgumentParser
import Contract
import Store
import Wire

/// `leadpipe explain`: explains the state of a lead.
struct ExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Explain a lead's score, its response deadline, its agents, its notifications and what happens next.",
    discussion: "Times are shown in TIME_ZONE. For a single notification, use `leadpipe delivery explain`.")

  @Argument(help: "The id of the conversation, or its first digits, at least four.") var id: RowID
  @OptionGroup var options: OperatorOptions

  func run() throws {
    let database = try OperatorDatabase()
    let office = try database.office()
    let facts = try database.call(
      .explainConversation, ["id": .string(try database.id(id, of: .conversation)), "warnBefore": office.warnBefore])
    let explanation = LeadExplanation(
      facts, hours: office.hours, clock: office.clock, notAssigning: database.notAssigning)
    if options.json { return Console.print(explanation.document.text + "\n") }
    for sentence in explanation.sentences { Console.print(Listing.plain(sentence) + "\n") }
  }
}

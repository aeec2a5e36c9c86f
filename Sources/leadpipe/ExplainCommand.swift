import Admin
import ArgumentParser
import Contract
import Store
import Wire

/// `leadpipe explain`: why a lead stands as it does.
struct ExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Say why a lead has its score, its deadline and its notifications, and what is next.",
    discussion: "Times are those of TIME_ZONE. `leadpipe delivery explain` says it of a single notification.")

  @Argument(help: "The conversation.") var id: UUIDText
  @OptionGroup var options: OperatorOptions

  func run() throws {
    let desk = try OperatorDesk()
    let office = try desk.office()
    let facts = try desk.ask(
      .explainConversation, ["id": .string(id.text), "warnBefore": office.warnBefore])
    let explanation = LeadExplanation(facts, hours: office.hours, clock: office.clock)
    if options.json { return Console.say(explanation.document.text + "\n") }
    for sentence in explanation.sentences { Console.say(Listing.plain(sentence) + "\n") }
  }
}

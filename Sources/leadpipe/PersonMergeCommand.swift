import ArgumentParser
import Store
import Wire

/// `leadpipe person merge`: makes two customers one.
struct PersonMerge: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge", abstract: "Merge a customer into another one.",
    discussion: """
      The first line of stdin is a phone number or an email address of the customer to keep, the second one of the \
      customer who is the same person. The first customer gets all conversations, numbers and addresses of the second, \
      and later leads with any of them. The audit log records it. `leadpipe person unmerge` undoes it, for 30 days.

      Without --yes, the third line must be the word `merge`.
      """)

  @Flag(help: "Merge without asking.") var yes = false
  @OptionGroup var actor: ActorOptions
  @OptionGroup var options: OperatorOptions

  func run() throws {
    let kept = try Contact(" of the customer to keep").argument
    let merged = try Contact(" of the other customer", line: "second").argument
    let database = try OperatorDatabase()
    if !yes {
      for (title, contact) in [("To keep", kept), ("\nTo merge", merged)] {
        let person = try database.call(.showPerson, contact)
        if options.json { continue }
        Console.print("\(title)\n")
        PersonShow.show(person)
      }
      let answer = try Contact.line(asking: "\nType `merge` to merge the second person into the first: ")
      guard answer == "merge" else { throw OperatorDatabase.refuse("nothing was merged") }
    }
    let done = try database.call(.mergePersons, ["keep": kept, "merge": merged, "by": actor.name])
    if options.json { return Console.print(done.text + "\n") }
    guard done["isNew"]?.bool == true else {
      let merge = done["id"]?.string.map { " by merge \($0)" } ?? ""
      return Console.print("both are one customer already\(merge)\n")
    }
    Console.print(
      "merged \(PersonUnmerge.numbers(done)); undo it with: leadpipe person unmerge \(done["id"]?.string ?? "")\n")
  }
}

/// `leadpipe person unmerge`: undoes a merge.
struct PersonUnmerge: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unmerge", abstract: "Undo a merge of two customers.",
    discussion: """
      `leadpipe person merge` and `leadpipe person show` print the id of a merge. Leads that were stored since go to the \
      customer whose number or address they have. If a customer was merged on into a third one, undo that merge first. A \
      merge cannot be undone after data of the customer was erased.
      """)

  @Argument(help: "The id of the merge.") var id: String
  @OptionGroup var actor: ActorOptions
  @OptionGroup var options: OperatorOptions

  func validate() throws {
    guard UUIDText(id) != nil else { throw ValidationError("The id of a merge is a UUID.") }
  }

  func run() throws {
    let done = try OperatorDatabase().call(.undoMerge, ["id": .string(id), "by": actor.name])
    if options.json { return Console.print(done.text + "\n") }
    guard done["isNew"]?.bool == true else { return Console.print("this merge was undone before\n") }
    Console.print("gave back \(Self.numbers(done))\n")
  }

  static func numbers(_ done: JSON) -> String {
    let (conversations, contacts) = (done["conversations"]?.integer ?? 0, done["contacts"]?.integer ?? 0)
    return "\(conversations) conversation\(conversations == 1 ? "" : "s") and "
      + "\(contacts) number\(contacts == 1 ? "" : "s") or address\(contacts == 1 ? "" : "es")"
  }
}

import ArgumentParser
import Forms
import Glibc
import Leads
import Store
import Wire

/// `leadpipe person`: what is stored about a person, as the law lets people ask for it and have it erased. The phone
/// number or email address is read from stdin, because the arguments of a command can be seen by all users.
struct PersonCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "person", abstract: "Show, export or erase what is stored about a person, or merge two persons.",
    discussion: """
      The person's phone number or email address is one line on stdin. The person is the customer who has used it, with \
      all other numbers and addresses of this customer.
      """,
    subcommands: [
      PersonShow.self, PersonExport.self, PersonErase.self, PersonMerge.self, PersonUnmerge.self, PersonRetention.self,
    ])
}

/// A phone number or an email address from stdin.
struct Contact {
  /// The argument of the functions: `phone` or `email`.
  let argument: JSON

  /// Reads one line. On a terminal it is asked for.
  /// - Parameter whose: names the person in the question and in an error.
  init(_ whose: String = "", line number: String = "first") throws {
    guard let contact = PersonContact(try Self.line(asking: "Phone number or email address\(whose): ")) else {
      throw OperatorDatabase.refuse("the \(number) line of stdin must be a phone number or an email address")
    }
    argument = contact.document
  }

  /// Reads a line of at most 1,000 bytes, without blanks at its ends.
  static func line(asking question: String) throws -> String {
    if isatty(0) == 1 { Console.printError(question) }
    var bytes: [UInt8] = []
    var byte: UInt8 = 0
    // Byte by byte: what follows the line is for the next question.
    while bytes.count <= 1000, read(0, &byte, 1) == 1, byte != UInt8(ascii: "\n") { bytes.append(byte) }
    guard bytes.count <= 1000, let text = String(validating: bytes, as: UTF8.self) else {
      throw OperatorDatabase.refuse("a line of stdin is longer than 1,000 bytes or not UTF-8")
    }
    return cleanLine(text)
  }
}

struct PersonShow: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "List a person's numbers, addresses, conversations and subscriptions.")

  @OptionGroup var options: OperatorOptions

  func run() throws {
    let person = try OperatorDatabase().call(.showPerson, try Contact().argument)
    if options.json { return Console.print(person.text + "\n") }
    Self.show(person)
  }

  static func show(_ person: JSON) {
    func list(_ name: String) -> String { (person[name]?.array ?? []).compactMap(\.string).joined(separator: ", ") }
    Listing.fields([("phone numbers", list("phones")), ("email addresses", list("emails"))])
    Console.print("\n")
    Listing(isJSON: false).show(
      person["conversations"]?.array ?? [],
      [
        ("ID", Listing.id()), ("CREATED", Listing.time("createdAt")), ("STATUS", Listing.member("status")),
        ("SOURCE", Listing.member("source")), ("MESSAGES", Listing.member("messages")),
        ("CONSENT", Self.consent), ("NAME", Listing.member("name")),
      ])
    if let subscriptions = person["subscriptions"]?.array, !subscriptions.isEmpty {
      Console.print("\n")
      Listing(isJSON: false).show(
        subscriptions,
        [
          ("SUBSCRIBED", Listing.time("subscribedAt")), ("STATUS", Listing.member("status")),
          ("EMAIL", Listing.member("email")),
        ])
    }
    if let merges = person["merges"]?.array, !merges.isEmpty {
      Console.print("\n")
      Listing(isJSON: false).show(
        merges, [("MERGED", Listing.time("createdAt")), ("BY", Listing.member("by")), ("MERGE", Listing.member("id"))])
    }
  }

  /// `marketing`, `none` or nothing, and the version of the text that the customer has seen.
  @Sendable private static func consent(_ conversation: JSON) -> String {
    guard let consent = conversation["consent"], consent.members != nil else { return "" }
    let given = consent["marketing"]?.bool == true ? "marketing" : "none"
    return [given, consent["policyVersion"]?.string].compactMap(\.self).joined(separator: " ")
  }
}

struct PersonExport: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Print everything that is stored about a person as one JSON document.",
    discussion:
      "The document has the rows of each table, with the columns as they are. The audit log records the export.")

  @OptionGroup var actor: ActorOptions

  func run() throws {
    let argument = try Contact().argument.setting("by", actor.name)
    Console.print(try OperatorDatabase().call(.exportPerson, argument).text + "\n")
  }
}

struct PersonErase: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "erase", abstract: "Erase a person's data from all tables.",
    discussion: """
      Names, numbers, addresses and all text are erased. Rows, times, scores and amounts stay, so that counts do not \
      change. Open conversations become lost, and notifications that have not been sent are cancelled. The audit log \
      records the numbers of rows. Nothing can be restored.

      Without --yes, the second line of stdin must be the word `erase`.
      """)

  @Flag(help: "Erase without asking.") var yes = false
  @OptionGroup var actor: ActorOptions
  @OptionGroup var options: OperatorOptions

  func run() throws {
    let contact = try Contact().argument
    let database = try OperatorDatabase()
    let person = try database.call(.showPerson, contact)
    let counts = ["conversations", "subscriptions"].map { ($0, person[$0]?.array?.count ?? 0) }
    if !yes {
      if !options.json { PersonShow.show(person) }
      let answer = try Contact.line(asking: "\nType `erase` to erase this person's data: ")
      guard answer == "erase" else { throw OperatorDatabase.refuse("nothing was erased") }
    }
    var argument = contact.setting("by", actor.name)
    for (name, count) in counts { argument = argument.setting(name, JSON(count)) }
    let done = try database.call(.erasePerson, argument)
    if options.json { return Console.print(done.text + "\n") }
    func number(_ name: String, _ noun: String) -> String {
      let count = done[name]?.integer ?? 0
      return "\(count) \(noun)\(count == 1 ? "" : "s")"
    }
    Console.print(
      "erased \(number("conversations", "conversation")) and \(number("subscriptions", "subscription")), "
        + "cancelled \(number("notificationsCancelled", "notification"))\n")
  }
}

import ArgumentParser
import Store
import StoreAccess
import Wire

/// `leadpipe person retention`: what RETENTION_LEADS_DAYS erases.
struct PersonRetention: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "retention", abstract: "Count the closed leads that RETENTION_LEADS_DAYS erases. Changes nothing.",
    discussion: "Use --days to try a number of days before you set it.")

  @Option(help: "Instead of RETENTION_LEADS_DAYS: 30 to 36500.") var days: Int?
  @OptionGroup var options: OperatorOptions

  func validate() throws {
    if let days, !(30...36_500 ~= days) { throw ValidationError("--days must be 30 to 36500.") }
  }

  func run() throws {
    let database = try OperatorDatabase()
    let set = database.retention.leadsDays
    guard let days = days ?? set else {
      if options.json { return Console.print("{\"days\": null}\n") }
      return Console.print(
        "RETENTION_LEADS_DAYS is off: no lead is erased by its age (--days N counts for a number of days)\n")
    }
    let found = try database.call(.countOldLeads, ["days": JSON(days)]).setting("days", JSON(days))
    if options.json { return Console.print(found.text + "\n") }
    let leads = found["leads"]?.integer ?? 0
    Console.print(
      "\(leads) of \(found["closed"]?.integer ?? 0) closed lead\(found["closed"]?.integer == 1 ? "" : "s") "
        + "\(leads == 1 ? "is" : "are") unchanged for \(days) days\n")
    let addresses = found["subscriptions"]?.integer ?? 0
    if addresses > 0 {
      Console.print(
        "\(addresses) newsletter address\(addresses == 1 ? " that was" : "es that were") kept aside as spam "
          + "\(addresses == 1 ? "is" : "are") as old\n")
    }
    if let oldest = found["oldest"]?.string { Console.print("the oldest is from \(oldest)\n") }
    if set != nil {
      let begin =
        found["erasesFrom"]?.string.map { "from \($0) on" } ?? "a day after a worker has started with this setting"
      Console.print("they are erased \(begin)\n")
    }
  }
}

import Wire

extension Database {
  /// Deletes one small batch of rows that finished more than `days` days ago; nil keeps them forever. The result has
  /// the number of deleted rows and whether anything is left.
  package func prune(olderThan days: Int?, deadline: Instant) throws(StoreFailure) -> JSON {
    try call(.prune, JSON.object([.init("days", JSON(days))]).withoutNulls, deadline: deadline)
  }

  /// Settles merges of customers, and erases one small batch of closed leads to which nothing has happened for `days` days,
  /// and the newsletter addresses that were kept aside as spam for as long; nil erases none. Returns how many of both, and
  /// whether nothing is left to do now.
  package func prunePersons(
    unusedFor days: Int?, deadline: Instant
  ) throws(StoreFailure) -> (leads: Int, subscriptions: Int, isComplete: Bool) {
    let done = try call(.prunePersons, JSON.object([.init("days", JSON(days))]).withoutNulls, deadline: deadline)
    return (
      done["leads"]?.integer ?? 0, done["subscriptions"]?.integer ?? 0, done["isComplete"]?.bool ?? true
    )
  }

  /// Updates the search index for one small batch of changed conversations. Returns how many are left.
  package func indexWords(deadline: Instant) throws(StoreFailure) -> Int {
    try call(.indexWords, [:], deadline: deadline)["left"]?.integer ?? 0
  }
}

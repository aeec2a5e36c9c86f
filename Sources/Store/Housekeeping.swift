import Wire

extension Database {
  /// Deletes one small batch of rows that finished more than `days` days ago; nil keeps them forever. The result has
  /// the number of deleted rows and whether anything is left.
  package func prune(olderThan days: Int?, deadline: Instant) throws(StoreFailure) -> JSON {
    try call(.prune, JSON.object([.init("days", JSON(days))]).withoutNulls, deadline: deadline)
  }

  /// Updates the search index for one small batch of changed conversations. Returns how many are left.
  package func indexWords(deadline: Instant) throws(StoreFailure) -> Int {
    try call(.indexWords, [:], deadline: deadline)["left"]?.integer ?? 0
  }
}

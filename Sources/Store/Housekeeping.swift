import Wire

extension Database {
  /// Deletes one small batch of what finished more than `days` days ago, where there is a limit. The reply says how much,
  /// and whether that was all.
  package func prune(olderThan days: Int?, deadline: Instant) throws(StoreFailure) -> JSON {
    try call(.prune, JSON.object([.init("days", JSON(days))]).withoutNulls, deadline: deadline)
  }

  /// Makes one small batch of changed conversations findable; how many are left.
  package func indexWords(deadline: Instant) throws(StoreFailure) -> Int {
    try call(.indexWords, [:], deadline: deadline)["left"]?.integer ?? 0
  }
}

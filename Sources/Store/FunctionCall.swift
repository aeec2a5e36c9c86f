import Wire

extension Database {
  /// After these SQLSTATEs a call is repeated: a serialisation failure, a deadlock, and LPTRY, with which our functions ask for
  /// it. They do not raise 40001 themselves, because PostgREST repeats that without end.
  private static let repeated = ["40001", "40P01", "LPTRY"]

  /// Calls a function, and repeats the call where that helps while time is left.
  package func call(_ function: Function, _ argument: JSON, deadline: Instant) throws(StoreFailure) -> JSON {
    let parameter = argument.text
    while true {
      do throws(StoreFailure) {
        guard let text = try query(function.statement, [parameter], deadline: deadline).first?.first ?? nil else {
          throw .noAnswer
        }
        do { return try JSON(reading: text) } catch { throw .noAnswer }
      } catch {
        if case .refused(let state, _, _) = error, Self.repeated.contains(state), .now < deadline { continue }
        throw error
      }
    }
  }
}

/// What becomes of the start-up options of a connection, with which the server would limit every statement.
package enum StartUpOptions: Sendable {
  /// The server has them, as far as it has been asked.
  case accepted
  /// A pooler refused the connection because of them, such as pgbouncer.
  case refused
  /// A pooler accepted them and did not pass them on, such as Supavisor, and pgbouncer with
  /// ignore_startup_parameters=options.
  case dropped
  /// The URL has options itself, so none are sent.
  case notSent
}

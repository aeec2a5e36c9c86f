import Contract
import Host

/// What all process modes share.
struct ProcessContext: Sendable {
  let budgets: Budgets
  /// The gateway's own environment; each handler gets its share of it.
  let environment: [String: String]
  let stop: StopSignal
  let statistics: ProcessStatistics
  let log: Log
}

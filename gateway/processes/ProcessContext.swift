import Contract
import Host

/// The context that all process modes share.
struct ProcessContext: Sendable {
  let budgets: Budgets
  /// The gateway's own environment. Each handler receives its share of it.
  let environment: [String: String]
  let stop: StopSignal
  let statistics: ProcessStatistics
  let log: Log
}

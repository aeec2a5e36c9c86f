/// The period that an amount of money is for.
package enum AmountPeriod: String, Sendable {
  case day, week, month, quarter
  case halfYear = "half-year"
  case year

  /// How often the period is in a year.
  package var timesInYear: Double {
    switch self {
    case .day: 365
    case .week: 52
    case .month: 12
    case .quarter: 4
    case .halfYear: 2
    case .year: 1
    }
  }
}

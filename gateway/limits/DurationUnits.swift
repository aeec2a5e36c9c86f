extension Duration {
  /// Whole milliseconds, rounded down.
  var milliseconds: Int { Int(components.seconds) * 1000 + Int(components.attoseconds / 1_000_000_000_000_000) }
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

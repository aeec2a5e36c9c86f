import Wire

/// The faults that the sink injects, for each provider: first those with a count, in order, then those with a
/// percentage. Requests without a fault get the provider's normal reply. Pure: the same seed and the same number of
/// requests on a provider give the same faults, independently of the other providers.
package struct FaultPlan: Sendable {
  enum Share: Sendable, Equatable { case times(Int), percent(Int) }

  struct Item: Sendable, Equatable {
    let fault: SinkFault
    var share: Share
  }

  private let seed: Int
  private var items: [SinkProvider: [Item]]
  private var chance: [SinkProvider: Chance] = [:]

  /// The plan without faults.
  package init() { self.init(seed: 1, items: [:]) }

  init(seed: Int, items: [SinkProvider: [Item]]) {
    self.seed = seed
    self.items = items
    for (index, provider) in SinkProvider.allCases.enumerated() {
      chance[provider] = Chance(seed: UInt64(bitPattern: Int64(seed)) &* 1_000_003 &+ UInt64(index))
    }
  }

  /// Returns the fault for the next request or email on `provider`. Nil if it succeeds.
  mutating func next(_ provider: SinkProvider) -> SinkFault? {
    guard var list = items[provider], !list.isEmpty else { return nil }
    for (index, item) in list.enumerated() {
      guard case .times(let left) = item.share else { continue }
      if left > 1 { list[index].share = .times(left - 1) } else { list.remove(at: index) }
      items[provider] = list
      return item.fault
    }
    var number = Int(chance[provider]?.next(below: 100) ?? 0)
    for item in list {
      guard case .percent(let share) = item.share else { continue }
      if number < share { return item.fault }
      number -= share
    }
    return nil
  }

  /// The remaining faults, in the form in which plans are read.
  var document: JSON {
    var document: JSON = ["seed": JSON(seed)]
    for provider in SinkProvider.allCases {
      let list = (items[provider] ?? []).map { item in
        switch item.share {
        case .times(let count): item.fault.document.setting("times", JSON(count))
        case .percent(let share): item.fault.document.setting("percent", JSON(share))
        }
      }
      document = document.setting(provider.rawValue, .array(list))
    }
    return document
  }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same numbers on every machine.
struct Chance: Sendable {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next(below limit: UInt64) -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return (z ^ (z >> 31)) % limit
  }
}

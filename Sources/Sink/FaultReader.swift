import Contract
import Forms
import Wire

extension FaultPlan {
  /// Parses a plan: `{"seed": 1, "slack": [fault, …], "telegram": […], "email": […], "resend": […]}`, all members
  /// optional. Throws `badInput` with every invalid member. Unknown members are errors.
  package init(reading bytes: [UInt8]) throws(Problem) {
    let document: JSON
    do throws(JSONError) { document = try JSON(reading: bytes) } catch {
      throw Problem(.invalidFaultPlan, ["reason": "it is not valid JSON: \(error.reason) at byte \(error.offset)"])
    }
    guard let members = document.members else { throw Problem(.invalidFaultPlan, ["reason": "it must be an object"]) }
    var reader = FaultReader()
    var items: [SinkProvider: [Item]] = [:]
    for member in members where member.key != "seed" {
      guard let provider = SinkProvider(rawValue: member.key) else {
        reader.fault(member.key, "must be one of seed, slack, telegram, email and resend")
        continue
      }
      items[provider] = reader.list(member.value, provider)
    }
    let seed = document["seed"] ?? 1
    if seed.integer == nil { reader.fault("seed", "must be a whole number") }
    guard reader.errors.isEmpty else { throw Problem(reader.errors) }
    self.init(seed: seed.integer ?? 1, items: items)
  }
}

/// Parses faults and collects the errors in them.
private struct FaultReader {
  private static let longestList = 1000
  private static let longestWait = 120_000
  private static let webOnly: Set<SinkFault.Way> = [.garble, .cut]
  private static let mailOnly: Set<SinkFault.Way> = [.greylist, .tls]
  private(set) var errors = FormError()

  mutating func fault(_ path: String, _ reason: String) {
    errors.add(.invalidFault, at: path, ["reason": reason])
  }

  mutating func list(_ json: JSON, _ provider: SinkProvider) -> [FaultPlan.Item] {
    guard let list = json.array, list.count <= Self.longestList else {
      fault(provider.rawValue, "must be a list of at most \(Self.longestList) faults")
      return []
    }
    let items = list.enumerated().compactMap { item($1, provider, "\(provider.rawValue)[\($0)]") }
    let shares = items.reduce(0) { if case .percent(let share) = $1.share { $0 + share } else { $0 } }
    if shares > 100 { fault(provider.rawValue, "has percentages that add up to \(shares)") }
    return items
  }

  private mutating func item(_ json: JSON, _ provider: SinkProvider, _ path: String) -> FaultPlan.Item? {
    guard let members = json.members, let name = json["fail"]?.string, let way = SinkFault.Way(rawValue: name) else {
      let ways = SinkFault.Way.allCases.map(\.rawValue).joined(separator: ", ")
      fault(path, "must be an object whose fail is one of \(ways)")
      return nil
    }
    let known = Self.members(of: way, on: provider)
    for member in members where !known.contains(member.key) {
      fault("\(path).\(member.key)", "cannot be combined with \(name) on \(provider.rawValue)")
    }
    if (provider == .email ? Self.webOnly : Self.mailOnly).contains(way) {
      fault(path, "cannot be \(name) on \(provider.rawValue)")
    }
    var result = SinkFault(way: way)
    result.stage = stage(json, way, provider, path)
    result.retryAfter = number(json, "retryAfter", 0...86_400, path)
    result.migrateTo = number(json, "migrateTo", Int.min...Int.max, path)
    result.milliseconds = number(json, "milliseconds", 1...Self.longestWait, path)
    if way == .slow, json["milliseconds"] == nil { fault("\(path).milliseconds", "is missing") }
    if let taken = json["taken"] {
      if taken.bool == nil { fault("\(path).taken", "must be true or false") }
      if result.stage != .body {
        fault("\(path).taken", "requires the stage body, because nothing is received before it")
      }
      result.isTaken = taken.bool == true
    }
    if way == .refuse { words(json, &result, provider, path) }
    return share(json, path).map { FaultPlan.Item(fault: result, share: $0) }
  }

  private static func members(of way: SinkFault.Way, on provider: SinkProvider) -> Set<String> {
    let always: Set<String> = ["fail", "times", "percent"]
    switch way {
    case .refuse where provider == .email: return always.union(["at", "say"])
    case .refuse where provider == .telegram: return always.union(["say", "status", "retryAfter", "migrateTo"])
    case .refuse: return always.union(["say", "status", "retryAfter"])
    case .slow where provider == .email: return always.union(["at", "milliseconds"])
    case .slow: return always.union(["milliseconds"])
    case .hang, .drop, .reset: return always.union(["at", "taken"])
    case .garble, .cut: return always.union(["taken"])
    case .greylist: return always.union(["at"])
    case .tls: return always
    }
  }

  private mutating func stage(
    _ json: JSON, _ way: SinkFault.Way, _ provider: SinkProvider, _ path: String
  ) -> SinkFault.Stage {
    guard let given = json["at"] else { return way.usualStage }
    let allowed = way == .greylist ? [.rcpt, .body] : provider == .email ? SinkFault.Stage.smtp : SinkFault.Stage.http
    if let stage = given.string.flatMap(SinkFault.Stage.init), allowed.contains(stage) { return stage }
    fault("\(path).at", "must be one of \(allowed.map(\.rawValue).joined(separator: ", "))")
    return .body
  }

  private mutating func number(_ json: JSON, _ name: String, _ range: ClosedRange<Int>, _ path: String) -> Int? {
    guard let given = json[name] else { return nil }
    if let number = given.integer, range.contains(number) { return number }
    let bounds = range.lowerBound == Int.min ? "" : " from \(range.lowerBound) to \(range.upperBound)"
    fault("\(path).\(name)", "must be a whole number\(bounds)")
    return nil
  }

  private mutating func share(_ json: JSON, _ path: String) -> FaultPlan.Share? {
    if json["times"] != nil, json["percent"] != nil {
      fault(path, "must have either times or percent, not both")
      return nil
    }
    if json["percent"] != nil { return number(json, "percent", 1...100, path).map { .percent($0) } }
    return json["times"] == nil ? .times(1) : number(json, "times", 1...1_000_000, path).map { .times($0) }
  }

  /// Parses the message of a refusal and its status. One of the provider's known messages has its own status; any other
  /// message needs one.
  private mutating func words(
    _ json: JSON, _ result: inout SinkFault, _ provider: SinkProvider, _ path: String
  ) {
    result.said = json["say"]?.string
    if json["say"] != nil, result.said?.unicodeScalars.allSatisfy({ 0x20...0x7E ~= $0.value }) != true {
      fault("\(path).say", "must be one line of ASCII")
    }
    if provider == .email {
      let said = Array((result.said ?? "").utf8)
      let isReply =
        5...200 ~= said.count && [0x34, 0x35].contains(said[0]) && 0x30...0x39 ~= said[1] && 0x30...0x39 ~= said[2]
        && said[3] == 0x20
      if !isReply { fault("\(path).say", "must be a 4xx or 5xx reply with a text, such as 550 5.1.1 no such user") }
      return
    }
    result.status = number(json, "status", 300...599, path)
    guard json["status"] == nil else { return }
    result.status = result.said.flatMap { ProviderErrors.table(provider)[$0] }
    if result.status == nil { fault(path, "must have a status, or a known error of \(provider.rawValue) in say") }
  }
}

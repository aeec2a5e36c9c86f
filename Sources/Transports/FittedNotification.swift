import Deliveries

/// The values of a notification, truncated so that the whole fits a provider's limit. The longest value is truncated
/// first, so that one long message does not shorten the others.
struct FittedNotification {
  /// One for each field of the notification, in order. Right-to-left text is isolated.
  private(set) var values: [String]
  private let notification: Notification

  /// No value is truncated below this length.
  private static let least = 32

  /// `limit` is for the whole text, including labels, links and line ends. `cost` and `cut` count and truncate as the
  /// provider does. If `showsAddresses`, the addresses of links count, and an address longer than a quarter of the
  /// limit is omitted.
  init(
    _ notification: Notification, to limit: Int, showsAddresses: Bool, cost: (String) -> Int,
    cut: (String, Int) -> String
  ) {
    let links = notification.links.filter { !showsAddresses || cost($0.url) <= limit / 4 }
    let notification = notification.keeping(links)
    self.notification = notification
    values = notification.fields.map { Escaping.isolated($0.value) }
    let fixed =
      cost(notification.header) + cost(notification.mark) + notification.fields.reduce(2) { $0 + cost($1.label) + 3 }
      + notification.links.reduce(1) { $0 + cost($1.label) + (showsAddresses ? cost($1.url) : 0) + 3 }
    var costs = values.map(cost)
    var excess = fixed + costs.reduce(0, +) - limit
    while excess > 0, let longest = costs.indices.max(by: { costs[$0] < costs[$1] }), costs[longest] > Self.least {
      // Two of the remaining characters are the isolating marks.
      let kept = max(Self.least, costs[longest] - excess - 2)
      values[longest] = Escaping.isolated(cut(notification.fields[longest].value, kept - 2))
      let now = cost(values[longest])
      excess -= costs[longest] - now
      costs[longest] = now
    }
  }

  /// The notification as plain lines, not escaped: sent if the provider rejected the rich form.
  var text: String {
    let fields = zip(notification.fields, values).map { field, value in
      "\(field.label):\(field.isLong ? "\n" : " ")\(value)"
    }
    let links = notification.links.map { "\($0.label): \($0.url)" }
    return ([notification.header + notification.mark, ""] + fields + (links.isEmpty ? [] : [""] + links)).joined(
      separator: "\n")
  }
}

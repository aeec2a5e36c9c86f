/// A limit for one client, as the database counts it for all gateways together.
package struct SharedRate: Sendable, Equatable {
  /// The name of the limit: a rate class or `refused-keys`, with `/48` for IPv6 networks.
  package let name: String
  /// The address, the /64 or the /48.
  package let key: String
  package let limit: RateLimit

  /// Returns the limits that apply to a client, in the order in which they are locked. They are the same as those of
  /// `ClientLimiter`: the client's own, and eight times as much for the /48 around an IPv6 address.
  package static func limits(_ name: String, _ limit: RateLimit, of client: ClientAddress?) -> [SharedRate] {
    switch client {
    case nil: [SharedRate(name: name, key: "unknown", limit: limit)]
    case .v4?: [SharedRate(name: name, key: client?.text ?? "", limit: limit)]
    case .v6(let upper, _)?:
      [
        SharedRate(name: name, key: ClientAddress.v6(upper, 0).text + "/64", limit: limit),
        SharedRate(
          name: name + "/48", key: ClientAddress.v6(upper & ~0xFFFF, 0).text + "/48",
          limit: limit.times(ClientLimiter.networkFactor)),
      ]
    }
  }

  /// The limit of how many keys a process without a gateway may test for a suspicious address.
  package static func turns(of client: ClientAddress?) -> SharedRate {
    SharedRate(
      name: "turns", key: limits("", .refusedKeys, of: client).last?.key ?? "", limit: .testsOfSuspiciousKeys)
  }
}

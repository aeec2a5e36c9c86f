import Glibc
import Testing

@testable import Limits

@Suite("Client addresses") struct AddressTests {
  @Test(
    "accepts every notation of an address and writes the canonical one",
    arguments: [
      ("192.0.2.1", "192.0.2.1"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"),
      ("::ffff:192.0.2.1", "192.0.2.1"), ("::FFFF:C000:0201", "192.0.2.1"), ("::", "::"), ("::1", "::1"),
      ("1::", "1::"),
      ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"), ("2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"),
      ("2001:0:0:1:0:0:1:1", "2001::1:0:0:1:1"), ("1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"),
      ("1::3:4:5:6:7:8", "1:0:3:4:5:6:7:8"),
      ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
      ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"),
      ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"), ("::1.2.3.4", "::102:304"), ("fe80::0001", "fe80::1"),
    ])
  func good(_ text: String, _ canonical: String) {
    #expect(ClientAddress(text)?.text == canonical)
    #expect(ClientAddress(withPort: text) == ClientAddress(text))
  }

  static let garbage = [
    "", " ", "unknown", "_hidden", "localhost", "192.0.2", "192.0.2.1.1", "192.0.2.256", "0177.0.0.1", "192.0.2.01",
    "00.0.0.0",
    "0x7f.0.0.1", "2130706433", "127.1", "192.0.2.1/32", "192.0.2.-1", "192.0.2.+1", " 192.0.2.1", "192.0.2.1 ",
    "192.0.2.1\n",
    "192.0.2.1\0", "192.0.2.", ".192.0.2.1", "１92.0.2.1", "192.0.2.٣", ":", ":::", "1", "1:", ":1", "1:2", "::1::",
    "1::2::3",
    "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8", "::1:2:3:4:5:6:7:8", "12345::", "g::", "::g", "+1::",
    "fe80::1%eth0", "fe80::1%25eth0",
    "::ffff:192.0.2.256", "::ffff:192.0.2", "::192.0.2.1:1", "1.2.3.4::", "::ffff:0177.0.0.1", "1:2:3:4:5:6:7:1.2.3.4",
    "[::1", "::1]", "1:2:3:4:5:6:7:",
    ":1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:", "::1 ", "0000:0000:0000:0000:0000:ffff:192.0.2.1:80",
  ]

  @Test("rejects anything else", arguments: garbage) func bad(_ text: String) {
    #expect(ClientAddress(text) == nil)
    #expect(ClientAddress(withPort: text) == nil)
  }

  @Test(
    "accepts a port from a proxy",
    arguments: [
      ("192.0.2.1:80", "192.0.2.1"), ("192.0.2.1:0", "192.0.2.1"), ("[::1]", "::1"),
      ("[2001:db8::1]:65535", "2001:db8::1"),
      ("[::ffff:192.0.2.1]:1", "192.0.2.1"),
    ])
  func ports(_ text: String, _ canonical: String) {
    #expect(ClientAddress(withPort: text)?.text == canonical)
    #expect(ClientAddress(text) == nil)
  }

  @Test(
    "rejects an invalid port",
    arguments: [
      "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:+1", "192.0.2.1:01", "192.0.2.1:80:80", "[::1]:", "[::1]80",
      "[::1]:x", "[192.0.2.1]",
      "[192.0.2.1]:80", "[]", "[]:80", "[fe80::1%eth0]:80", "[[::1]]", "0177.0.0.1:80", "[::1] :80", "\"[::1]\"",
    ])
  func noPorts(_ text: String) { #expect(ClientAddress(withPort: text) == nil) }

  @Test("agrees with inet_pton and inet_ntop on random strings", arguments: 0..<10)
  func agreesWithTheSystem(seed: Int) {
    var random = Seeded(seed)
    let pieces = ["0", "1", "ffff", "db8", ":", ":", "::", ".", "10", "255", "0:0", "a", "G", "1.2.3.4"]
    for _ in 0..<20_000 {
      let text = (0..<Int.random(in: 1...14, using: &random)).map { _ in pieces.randomElement(using: &random)! }
        .joined()
      let ours = ClientAddress(text)
      let theirs = system(text)
      // glibc accepts a `::` that stands for no group; RFC 4291 does not.
      if text.split(separator: ":").count == 8, text.contains("::"), ours == nil { continue }
      #expect(ours == theirs, "\(text)")
      if let ours {
        #expect(ClientAddress(ours.text) == ours)
        if !ours.text.contains("."), let written = systemText(ours), !written.contains(".") {
          #expect(ours.text == written)
        }
      }
    }
  }

  private func system(_ text: String) -> ClientAddress? {
    var four = in_addr()
    if inet_pton(AF_INET, text, &four) == 1 { return .v4(UInt32(bigEndian: four.s_addr)) }
    var bytes = [UInt8](repeating: 0, count: 16)
    guard inet_pton(AF_INET6, text, &bytes) == 1 else { return nil }
    let halves = [bytes[..<8], bytes[8...]].map { $0.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
    if halves[0] == 0, halves[1] >> 32 == 0xFFFF { return .v4(UInt32(truncatingIfNeeded: halves[1])) }
    return .v6(halves[0], halves[1])
  }

  private func systemText(_ address: ClientAddress) -> String? {
    guard case .v6(let upper, let lower) = address else { return nil }
    let bytes = [upper, lower].flatMap { half in (0..<8).map { UInt8(truncatingIfNeeded: half >> UInt64(56 - 8 * $0)) }
    }
    var buffer = [UInt8](repeating: 0, count: 64)
    let written = buffer.withUnsafeMutableBytes { inet_ntop(AF_INET6, bytes, $0.baseAddress, 64) }
    return written == nil ? nil : String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self)
  }
}

@Suite("Trusted proxies") struct TrustedProxiesTests {
  private func client(_ trusted: String, _ peer: String, _ forwarded: [String]) -> String? {
    let proxies = trusted.isEmpty ? TrustedProxies() : TrustedProxies(trusted) ?? TrustedProxies()
    let peer: TrustedProxies.Peer = peer == "unix" ? .unixSocket : ClientAddress(peer).map { .address($0) } ?? .unknown
    return proxies.client(peer: peer, forwarded: forwarded)?.text
  }

  @Test(
    "the client is the peer, or the right-most address that is not a trusted proxy's",
    arguments: [
      // The peer is not trusted: X-Forwarded-For is ignored.
      ("", "198.51.100.9", ["203.0.113.5"], "198.51.100.9"), ("", "127.0.0.1", ["203.0.113.5"], "127.0.0.1"),
      ("10.0.0.1", "10.0.0.2", ["203.0.113.5"], "10.0.0.2"), ("10.0.0.0/8", "11.0.0.1", ["203.0.113.5"], "11.0.0.1"),
      ("10.0.0.1", "10.0.0.1", [], "10.0.0.1"), ("10.0.0.1", "10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
      ("10.0.0.1", "::ffff:10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
      // What the client sent is to the left of the address that the proxy saw.
      ("10.0.0.1", "10.0.0.1", ["1.2.3.4, 203.0.113.5"], "203.0.113.5"),
      ("10.0.0.1", "10.0.0.1", ["1.2.3.4", "203.0.113.5"], "203.0.113.5"),
      ("10.0.0.0/8", "10.0.0.1", ["1.2.3.4, 203.0.113.5, 10.9.9.9"], "203.0.113.5"),
      ("10.0.0.0/8, 192.0.2.0/24", "10.0.0.1", ["203.0.113.5,192.0.2.7\t, 10.9.9.9"], "203.0.113.5"),
      // All addresses are trusted: the left-most one counts.
      ("10.0.0.0/8", "10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
      // An invalid or empty entry ends the search.
      ("10.0.0.0/8", "10.0.0.1", ["203.0.113.5, unknown"], "10.0.0.1"),
      ("10.0.0.0/8", "10.0.0.1", ["203.0.113.5,"], "10.0.0.1"),
      ("10.0.0.0/8", "10.0.0.1", [""], "10.0.0.1"), ("10.0.0.0/8", "10.0.0.1", ["203.0.113.5, , 10.0.0.2"], "10.0.0.2"),
      ("10.0.0.0/8", "10.0.0.1", ["203.0.113.5, 0177.0.0.1, 10.0.0.2"], "10.0.0.2"),
      ("10.0.0.0/8", "10.0.0.1", ["203.0.113.5", "", "10.0.0.2"], "10.0.0.2"),
      ("10.0.0.0/8", "10.0.0.1", ["fe80::1%eth0"], "10.0.0.1"),
      ("10.0.0.1", "10.0.0.1", ["[2001:DB8::5]:4711"], "2001:db8::5"),
      ("10.0.0.1", "10.0.0.1", ["203.0.113.5:99"], "203.0.113.5"),
      ("10.0.0.1", "10.0.0.1", ["::ffff:203.0.113.5"], "203.0.113.5"),
      ("2001:db8::/32", "2001:db8:1::1", ["203.0.113.5, 2001:db8:ffff::1"], "203.0.113.5"),
      ("::1", "::1", ["203.0.113.5"], "203.0.113.5"), ("0.0.0.0/1", "127.0.0.1", ["1.2.3.4, 5.6.7.8"], "1.2.3.4"),
      // Unix sockets.
      ("unix", "unix", ["203.0.113.5"], "203.0.113.5"),
      ("unix, 10.0.0.0/8", "unix", ["203.0.113.5, 10.0.0.1"], "203.0.113.5"),
      // A number of hops, whatever their addresses.
      ("hops:1", "198.51.100.9", ["1.2.3.4, 203.0.113.5"], "203.0.113.5"),
      ("hops:2", "198.51.100.9", ["1.2.3.4, 203.0.113.5, 10.0.0.1"], "203.0.113.5"),
      ("hops:2", "198.51.100.9", ["1.2.3.4", "203.0.113.5", "10.0.0.1"], "203.0.113.5"),
      ("hops:2", "198.51.100.9", ["203.0.113.5"], "198.51.100.9"), ("hops:1", "198.51.100.9", [], "198.51.100.9"),
      ("hops:1", "198.51.100.9", ["1.2.3.4, rubbish"], "198.51.100.9"),
      ("hops:1", "unix", ["203.0.113.5"], "203.0.113.5"),
    ])
  func finds(_ trusted: String, _ peer: String, _ forwarded: [String], _ expected: String) {
    #expect(client(trusted, peer, forwarded) == expected)
  }

  @Test("the client is nil if no address is known") func unknownClient() {
    #expect(client("", "unix", ["203.0.113.5"]) == nil)
    #expect(client("10.0.0.0/8", "unix", ["203.0.113.5"]) == nil)
    #expect(client("unix", "unix", []) == nil && client("unix", "unix", ["rubbish"]) == nil)
    #expect(client("hops:1", "unix", []) == nil && client("0.0.0.0/1", "?", ["203.0.113.5"]) == nil)
  }

  @Test(
    "rejects a setting that could be misread",
    arguments: [
      "", ",", "0.0.0.0/0", "::/0", "10.0.0.1,", "10.0.0.1 10.0.0.2", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8",
      "10.0.0.0/08",
      "10.0.0.0/", "10.0.0.1/8",
      "::/129", "2001:db8::1/32", "10.0.0.0/8/8", "*", "all", "true", "localhost", "10.0.0.1:80", "[::1]", "hops",
      "hops:", "hops:0", "hops:17",
      "hops:+1", "hops:1,unix", "unix:/x", "UNIX", "0177.0.0.1", "::ffff:10.0.0.0/104",
    ])
  func rejects(_ setting: String) {
    #expect(TrustedProxies(setting) == nil)
    #expect(TrustedProxies.validate(setting) != nil)
  }

  @Test func acceptsNetworksOfEveryWidth() {
    for setting in [
      "0.0.0.0/1", "10.0.0.0/8", "10.0.0.1/32", "::/1", "2001:db8::/32", "2001:db8:0:1::/64", "fd00::/65", "::1/128",
      " 10.0.0.1 , unix ",
    ] {
      #expect(TrustedProxies.validate(setting) == nil, "\(setting)")
    }
    #expect(client("2001:db8:0:0:8000::/65", "2001:db8::8000:0:0:1", ["203.0.113.5"]) == "203.0.113.5")
    #expect(client("2001:db8:0:0:8000::/65", "2001:db8::7000:0:0:1", ["203.0.113.5"]) == "2001:db8::7000:0:0:1")
  }
}

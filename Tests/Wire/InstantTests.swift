import Testing
import Wire

@Suite("Instants") struct InstantTests {
  @Test(
    "reads ISO 8601 with a zone",
    arguments: [
      ("1970-01-01T00:00:00Z", 0), ("2026-11-22T21:00:00.000Z", 1_795_381_200_000),
      ("2026-11-22T21:00Z", 1_795_381_200_000), ("2026-11-23T01:00:00+04:00", 1_795_381_200_000),
      ("2026-11-23T01:00:00+04", 1_795_381_200_000),
      ("2026-11-23T01:00:00+0400", 1_795_381_200_000), ("2026-11-22T16:30-0430", 1_795_381_200_000),
      ("2024-02-29T12:00:00.5Z", 1_709_208_000_500), ("2024-02-29t12:00:00,123456z", 1_709_208_000_123),
    ])
  func reads(_ text: String, _ milliseconds: Int) {
    #expect(Instant(iso8601: text)?.milliseconds == milliseconds)
  }

  @Test(
    "rejects everything else",
    arguments: [
      "", "2026-11-22", "2026-11-22T21:00:00", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
      "2026-11-22T24:00:00Z", "2026-11-22T21:60:00Z", "2026-11-22T21:00:00+15:00", "2026-11-22T21:00:00Zx",
      "2026-11-22T21:00:00+4", "2026-11-22T21:00:00+040", "2026-11-22T21:00:00+04:", "2026-11-22T21:00:00+04:0",
      "2026-11-22T21:00:00+04000", "2026-11-22T21:00:00+1500", "2026-11-22T21:00:00+0460",
      "+026-11-22T21:00:00Z", "1969-12-31T23:59:59Z", "2026-11-22T21:00:00.Z", "٢٠٢٦-11-22T21:00:00Z",
    ])
  func rejects(_ text: String) { #expect(Instant(iso8601: text) == nil) }

  @Test("writes what it reads, on every day of four centuries") func roundTrip() {
    for day in stride(from: 0, to: 146_097, by: 1) {
      let instant = Instant(milliseconds: day * 86_400_000 + 45_296_789)
      #expect(Instant(iso8601: instant.iso8601) == instant)
    }
  }

  @Test("writes an instant before 1970") func before1970() {
    #expect(Instant(milliseconds: -1).iso8601 == "1969-12-31T23:59:59.999Z")
  }
}

@Suite("Base 64 and UUIDs") struct EncodingTests {
  @Test("bytes of every length survive a round trip") func roundTrip() {
    for count in 0..<70 {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 37) }
      #expect(Base64.decode(Base64.encode(bytes)) == bytes)
    }
    #expect(Base64.encode(Array("Leadpipe".utf8)) == "TGVhZHBpcGU=")
  }

  @Test(arguments: ["A", "AB", "ABC", "AB=C", "====", "AB==AB==", "A\nBC", "AB-_"])
  func rejects(_ text: String) { #expect(Base64.decode(text) == nil) }

  @Test("a UUID is in lower case, and a random one has version 4") func uuid() throws {
    #expect(UUIDText("0F3E0000-0000-4000-8000-00000000000A")?.text == "0f3e0000-0000-4000-8000-00000000000a")
    for text in ["", "0f3e", "0f3e000000004000800000000000000a", "0f3e0000-0000-4000-8000-00000000000g"] {
      #expect(UUIDText(text) == nil)
    }
    let random = try #require(UUIDText(UUIDText.random().text))
    #expect(Array(random.text)[14] == "4")
  }
}

@Suite("Time zones") struct ZoneTests {
  @Test(
    "accepts a name of the tz database", arguments: ["Asia/Dubai", "UTC", "Etc/GMT+4", "America/Port-au-Prince"])
  func known(_ name: String) { #expect(Zone.isKnown(name)) }

  @Test(
    "rejects paths, other files and unknown names",
    arguments: [
      "", "Asia", "Asia/Nowhere", "../../../etc/passwd", "/etc/passwd", "Asia//Dubai", "Asia/Dubai/", "tzdata.zi",
      "a b",
    ])
  func unknown(_ name: String) { #expect(!Zone.isKnown(name)) }
}

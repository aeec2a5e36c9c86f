import Contract
import Glibc
import Host
import Sandbox
import Testing
import Wire

@Suite("The launcher of foreign handlers") struct LaunchTests {
  @Test(
    "parses the arguments that it writes",
    arguments: [
      Launch(program: "/h/x", arguments: []), Launch(program: "/h/x", arguments: ["--stream"]),
      Launch(
        program: "/h/a b", arguments: ["--", "--read"],
        grants: .init(read: ["/r", "/r 2"], write: ["/w"], connect: [1, 65_535], addressSpace: 16_384), seconds: 15),
    ])
  func roundTrip(_ launch: Launch) { #expect(Launch(launch.words) == launch) }

  @Test(
    "rejects any other arguments",
    arguments: [
      [], ["/h/x"], ["--"], ["--read", "--", "/h/x"], ["--write", "/w", "/h/x"], ["--other", "x", "--", "/h/x"],
      ["--connect", "x", "--", "/h/x"], ["--seconds", "", "--", "/h/x"],
    ])
  func rejects(_ arguments: [String]) { #expect(Launch(arguments) == nil) }

  @Test("reads a class, or a class with grants, from the trust file") func trustFile() throws {
    let file = try TemporaryFile(
      #"{"a":"intake","b":{"class":"none","read":["/r"],"write":["/w"],"connect":[443]},"c":{"class":"admin","addressSpace":16384}}"#
    )
    let entries = try TrustFile(path: file.path).entries
    #expect(entries["a"] == Trusted(.intake))
    #expect(entries["b"] == Trusted(.none, grants: .init(read: ["/r"], write: ["/w"], connect: [443])))
    #expect(entries["c"] == Trusted(.admin, grants: .init(addressSpace: 16_384)))
  }

  @Test(
    "rejects a trust file with any other entry",
    arguments: [
      #"{"a":"root"}"#, #"{"a":{}}"#, #"{"a":{"class":"none","read":"/r"}}"#, #"{"a":{"class":"none","read":["r"]}}"#,
      #"{"a":{"class":"none","connect":["443"]}}"#, #"{"a":{"class":"none","connect":[0]}}"#,
      #"{"a":{"class":"none","run":["/x"]}}"#, #"{"a":{"class":"none","addressSpace":63}}"#,
      #"{"a":{"class":"none","addressSpace":"512"}}"#, #"["a"]"#, "",
    ])
  func invalidTrustFiles(_ text: String) throws {
    let file = try TemporaryFile(text)
    #expect(throws: Problem.self) { try TrustFile(path: file.path) }
  }
}

/// A file that is removed when it is released.
private final class TemporaryFile {
  let path = "/tmp/leadpipe-host-\(UUIDText.random().text)"

  init(_ text: String) throws {
    let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    try #require(file >= 0)
    let bytes = Array(text.utf8)
    #expect(write(file, bytes, bytes.count) == bytes.count)
    close(file)
  }

  deinit { unlink(path) }
}

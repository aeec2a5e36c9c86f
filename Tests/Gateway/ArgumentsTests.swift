import Host
import Testing
import Wire

@testable import gateway

@Suite("Arguments of the gateway") struct ArgumentsTests {
  @Test(
    arguments: [
      ([], false, nil), (["--check"], true, nil), (["--only", "a"], false, ["a"]),
      (["--only=a,b-c"], false, ["a", "b-c"]),
      (["--check", "--only", "a,b"], true, ["a", "b"]), (["--only", "a", "--check"], true, ["a"]),
    ] as [([String], Bool, [String]?)])
  func reads(words: [String], isCheck: Bool, only: [String]?) throws {
    let arguments = try #require(GatewayArguments(words))
    #expect(arguments.isCheck == isCheck && arguments.only == only)
  }

  @Test(arguments: [
    ["--only"], ["--only", ""], ["--only="], ["--only", "a,"], ["--only", ",a"], ["--only", "a,a"], ["--only", "a,,b"],
    ["--only", "a", "--only", "b"], ["--check", "--check"], ["a"], ["--check", "a"], ["--onlya"],
    ["--help", "--check"],
  ])
  func refuses(words: [String]) { #expect(GatewayArguments(words) == nil) }
}

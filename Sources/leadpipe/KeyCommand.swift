import Admin
import ArgumentParser
import Store
import Wire

/// `leadpipe key`: who may use the admin interface beside ADMIN_API_KEY.
struct KeyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key", abstract: "Make, list and revoke keys to the admin interface.",
    discussion:
      "ADMIN_API_KEY is the first key, with all rights; without it nobody is let in, whatever keys there are.",
    subcommands: [KeyCreate.self, KeyList.self, KeyRevoke.self])
}

/// What a key may do; each may what those before it may.
enum Rights: String, CaseIterable, ExpressibleByArgument {
  case read, write, owner

  static var allValueDescriptions: [String: String] {
    ["read": "look at everything", "write": "work with leads too", "owner": "agents, channels and replays too"]
  }
}

struct KeyCreate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Make a key. It is printed once, on stdout, and kept nowhere.")

  @Argument(help: "Whose it is: the timeline names it with each change.") var name: String
  @Option(help: "What it may do.") var rights: Rights
  @OptionGroup var options: OperatorOptions

  func validate() throws {
    let isClean = name.unicodeScalars.allSatisfy { $0.value >= 0x20 && !$0.properties.isDefaultIgnorableCodePoint }
    guard 1...100 ~= name.unicodeScalars.count, isClean, name.first != " ", name.last != " " else {
      throw ValidationError("A name has 1 to 100 visible characters.")
    }
  }

  func run() throws {
    let key = Secret.key()
    let made = try OperatorDesk().ask(
      .createAdminKey,
      ["name": .string(name), "rights": .string(rights.rawValue), "sha256": .string(Secret.sha256(key))])
    Console.say((options.json ? made.setting("key", .string(key)).text : key) + "\n")
  }
}

struct KeyList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the keys, also those that were revoked.")

  @OptionGroup var options: OperatorOptions

  func run() throws {
    let reply = try OperatorDesk().ask(.listAdminKeys, [:])
    Listing(isJSON: options.json).show(
      reply["keys"]?.array ?? [],
      [
        ("RIGHTS", Listing.member("rights")), ("CREATED", Listing.member("createdAt")),
        ("LAST USED", Listing.member("lastUsedAt")), ("REVOKED", Listing.member("revokedAt")),
        ("NAME", Listing.member("name")),
      ])
  }
}

struct KeyRevoke: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "revoke", abstract: "Revoke a key, and end the sessions that it has opened.",
    discussion: "At once for every request; a live stream that is open ends within a minute.")

  @Argument(help: "Its name.") var name: String
  @OptionGroup var options: OperatorOptions

  func run() throws {
    let reply = try OperatorDesk().ask(.revokeAdminKey, ["name": .string(name)])
    Console.say(options.json ? reply.text + "\n" : "the key \(Listing.plain(name)) opens nothing any more\n")
  }
}

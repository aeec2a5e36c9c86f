import Admin
import ArgumentParser
import Store
import Wire

/// `leadpipe key`: manages the keys to the admin interface other than ADMIN_API_KEY.
struct KeyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key", abstract: "Create, list and revoke keys to the admin interface.",
    discussion: "ADMIN_API_KEY is the first key and has all rights. If it is not set, no key is accepted.",
    subcommands: [KeyCreate.self, KeyList.self, KeyRevoke.self])
}

/// The rights of a key. Each includes those before it.
enum Rights: String, CaseIterable, ExpressibleByArgument {
  case read, write, owner

  static var allValueDescriptions: [String: String] {
    [
      "read": "read everything", "write": "also change leads",
      "owner": "also manage agents and channels, and replay events",
    ]
  }
}

struct KeyCreate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Create a key. It is printed once, on stdout, and is not stored.")

  @Argument(help: "The name of its owner; the timeline records it with each change.") var name: String
  @Option(help: "The rights of the key.") var rights: Rights
  @Option(help: "The agent who uses the key: an id, or its first digits, at least four.") var agent: RowID?
  @Option(help: "The number of days after which the key is refused, 1 to 3650 (default: it does not expire).")
  var days: Int?
  @OptionGroup var actor: ActorOptions
  @OptionGroup var options: OperatorOptions

  func validate() throws {
    let isClean = name.unicodeScalars.allSatisfy { $0.value >= 0x20 && !$0.properties.isDefaultIgnorableCodePoint }
    guard 1...100 ~= name.unicodeScalars.count, isClean, name.first != " ", name.last != " " else {
      throw ValidationError("The name must have 1 to 100 visible characters, without spaces at its ends.")
    }
    guard days.map((1...3650).contains) ?? true else { throw ValidationError("--days must be 1 to 3650.") }
  }

  func run() throws {
    let key = Secret.key()
    let database = try OperatorDatabase()
    let made = try database.call(
      .createAdminKey,
      [
        "name": .string(name), "rights": .string(rights.rawValue), "sha256": .string(Secret.sha256(key)),
        "agentId": JSON(try agent.map { try database.id($0, of: .agent) }),
        "expiresAt": JSON(days.map { Instant.now.adding(seconds: $0 * 86_400).iso8601 }), "by": actor.name,
      ])
    Console.print((options.json ? made.setting("key", .string(key)).text : key) + "\n")
  }
}

struct KeyList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List all keys, including revoked ones.")

  @OptionGroup var options: OperatorOptions

  func run() throws {
    let reply = try OperatorDatabase().call(.listAdminKeys, [:])
    Listing(isJSON: options.json).show(
      reply["keys"]?.array ?? [],
      [
        ("RIGHTS", Listing.member("rights")), ("CREATED", Listing.time("createdAt")),
        ("LAST USED", Listing.time("lastUsedAt")), ("EXPIRES", Listing.time("expiresAt")),
        ("REVOKED", Listing.time("revokedAt")), ("AGENT", { Listing.member("name")($0["agent"] ?? [:]) }),
        ("NAME", Listing.member("name")),
      ])
  }
}

struct KeyRevoke: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "revoke", abstract: "Revoke a key and end the sessions that it has opened.",
    discussion: "New requests are refused at once. An open live stream ends within a minute.")

  @Argument(help: "The name of the key.") var name: String
  @OptionGroup var actor: ActorOptions
  @OptionGroup var options: OperatorOptions

  func run() throws {
    let reply = try OperatorDatabase().call(.revokeAdminKey, ["name": .string(name), "by": actor.name])
    Console.print(options.json ? reply.text + "\n" : "key \"\(Listing.plain(name))\" is revoked\n")
  }
}

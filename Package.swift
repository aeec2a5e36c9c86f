// swift-tools-version:6.2
// The modules, and which handler may use which: the trust map.
import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

func module(_ name: String, _ uses: [Target.Dependency] = [], path: String? = nil) -> Target {
  .target(name: name, dependencies: uses, path: path ?? "Sources/\(name)", swiftSettings: settings)
}

/// The handlers of one executable, each a module of its own: `handlers/EXECUTABLE.swift` lists them, and `make build`
/// links the executable under the name of each.
func handlers(
  _ executable: String, of trustClass: String, _ groups: (using: [String], names: [String])...
) -> [Target] {
  var targets: [Target] = []
  for group in groups {
    let uses: [Target.Dependency] = (["Contract", "Wire"] + group.using).map { .byName(name: $0) }
    for name in group.names { targets.append(module(name, uses, path: "handlers/\(trustClass)/\(name)")) }
  }
  let others: [String] = ["admin", "intake", "none", "notifiers", "worker"].filter { $0 != executable }
  // The executable itself uses StoreAccess, where its handlers do.
  let shared =
    groups.contains { $0.using.contains("StoreAccess") } ? ["Contract", "Store", "StoreAccess"] : ["Contract"]
  let linked: [Target.Dependency] = (shared + targets.map(\.name)).map { .byName(name: $0) }
  targets.append(
    .executableTarget(
      name: "handlers-\(executable)", dependencies: linked, path: "handlers",
      exclude: ["admin", "intake", "none", "worker"] + others.map { $0 + ".swift" }, sources: ["\(executable).swift"],
      swiftSettings: settings))
  return targets
}

func suite(_ name: String, _ uses: [Target.Dependency]) -> Target {
  .testTarget(name: "\(name)Tests", dependencies: uses, path: "Tests/\(name)", swiftSettings: settings)
}

let nio: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")

/// The handlers by executable and folder, which is their trust class, with the modules that they may use in addition to
/// the contract.
let handlerTargets: [Target] =
  handlers(
    "intake", of: "intake",
    (
      using: ["Capture", "Forms", "Leads", "Store", "StoreAccess"],
      names: [
        "contact-capture", "inquiry-capture", "lead-capture", "newsletter-subscribe", "newsletter-unsubscribe",
        "sell-capture",
      ]
    ),
    (using: ["Leads", "StoreAccess"], names: ["form-token"]), (using: ["Capture"], names: ["unsubscribe-page"]),
    (using: ["Deliveries", "Store", "StoreAccess"], names: ["health-check"]),
    (using: ["Forms", "Store", "StoreAccess"], names: ["rate-count"])
  )
  + handlers(
    "admin", of: "admin",
    (
      using: ["Admin", "Deliveries", "Forms", "Leads", "Store", "StoreAccess"],
      names: [
        "agent-create", "agent-delete", "agent-list", "agent-update", "analytics-report", "audit-list", "channel-list",
        "channel-resume", "channel-test", "conversation-assign", "conversation-assignments", "conversation-bulk",
        "conversation-events",
        "conversation-explain", "conversation-export", "conversation-list", "conversation-messages",
        "conversation-notifications",
        "conversation-respond", "conversation-search", "conversation-show", "conversation-timeline",
        "conversation-unassign", "conversation-update", "event-list", "event-replay", "follow-up-create",
        "follow-up-list", "follow-up-update", "key-create", "key-list", "key-revoke",
        "live-feed", "live-show", "notification-list", "notification-retry", "person-erase", "person-export",
        "person-merge", "person-show", "person-unmerge", "session-close", "session-open",
        "session-show", "sla-list", "subscriber-delete", "subscriber-list",
      ]
    )
  )
  + handlers(
    "worker", of: "worker",
    (
      using: ["Deliveries", "Forms", "Store", "StoreAccess"],
      names: ["data-prune", "delivery-begin", "delivery-record", "event-claim", "receipt-sweep", "wake-listen"]
    ),
    (using: ["Leads", "Store", "StoreAccess"], names: ["sla-sweep"]),
    (using: ["Deliveries", "Leads", "Store", "StoreAccess"], names: ["follow-up-sweep"])
  )
  + handlers(
    "notifiers", of: "worker",
    (using: ["Deliveries", "Transports"], names: ["notify-email", "notify-slack", "notify-telegram"])
  )
  + handlers("none", of: "none", (using: ["Forms", "Limits"], names: ["rate-limit"]))

let package = Package(
  name: "leadpipe",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1", traits: []),
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
  ],
  targets: handlerTargets + [
    .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CProcess"),
    // Their headers only: nothing links them.
    .systemLibrary(name: "CXlsxWriter", providers: [.apt(["libxlsxwriter-dev"])]),
    .systemLibrary(name: "CPango", pkgConfig: "pangocairo", providers: [.apt(["libpango1.0-dev"])]),
    module("Wire"),
    module("Sandbox", ["CProcess"]),
    module("Contract", ["Wire", "Forms", "Limits", "Sandbox", "CProcess"]),
    module("Forms", ["Wire"]),
    module("Leads", ["Wire", "Forms"]),
    module("Deliveries", ["Wire"]),
    module("Limits"),
    module("Exports", ["CXlsxWriter", "CPango"]),
    module("Curl", ["Wire", "CCurl"]),
    module("Store", ["Wire", "Leads", "Deliveries", "Curl", "CPostgres"]),
    module("StoreAccess", ["Wire", "Contract", "Forms", "Leads", "Limits", "Deliveries", "Store"]),
    module("Capture", ["Wire", "Contract", "Forms", "Leads", "Store", "StoreAccess"]),
    module("Transports", ["Wire", "Contract", "Forms", "Deliveries", "Curl", "CCurl"]),
    module(
      "Admin",
      ["Wire", "Contract", "Forms", "Leads", "Limits", "Deliveries", "Exports", "Store", "StoreAccess", "CCrypto"]),
    module("OpenAPI", ["Wire", "Contract"]),
    module("Host", ["Wire", "Contract", "Sandbox", "Deliveries", "CProcess"]),
    module("Worker", ["Wire", "Contract", "Deliveries", "Host"]),
    module("Sink", ["Wire", "Contract", "Forms", hummingbird, nio, nioPosix]),
    module("Samples", ["Wire"]),
    module("Terminal"),
    .executableTarget(name: "confine", dependencies: ["Host"], path: "Sources/confine", swiftSettings: settings),
    .executableTarget(
      name: "leadpipe-cgi", dependencies: ["Contract", "Host"], path: "Sources/leadpipe-cgi", swiftSettings: settings),
    .executableTarget(
      name: "gateway",
      dependencies: [
        "Wire", "Contract", "Forms", "Leads", "Sandbox", "Host", "OpenAPI", "Limits", "Terminal", "CZlib",
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        .product(name: "Logging", package: "swift-log"),
        nio, nioPosix, nioHTTP1,
      ], path: "gateway", swiftSettings: settings),
    .executableTarget(
      name: "leadpipe",
      dependencies: [
        "Wire", "Contract", "Sandbox", "Forms", "Leads", "Deliveries", "Limits", "Store", "StoreAccess", "Transports",
        "Admin",
        "OpenAPI",
        "Host", "Worker", "Sink", "Samples", "Terminal",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: settings),
    suite("Wire", ["Wire"]),
    suite("Contract", ["Wire", "Forms", "Limits", "Contract"]),
    suite("Sandbox", ["Sandbox"]),
    suite("Forms", ["Wire", "Forms"]),
    suite("Leads", ["Wire", "Forms", "Leads"]),
    suite("Deliveries", ["Wire", "Deliveries"]),
    suite("Limits", ["Limits"]),
    suite("Exports", ["Exports"]),
    suite("Store", ["Wire", "Store"]),
    suite("StoreAccess", ["Wire", "Contract", "Forms", "Limits", "Store", "StoreAccess"]),
    suite("Admin", ["Wire", "Contract", "Leads", "Deliveries", "Admin"]),
    suite("OpenAPI", ["Wire", "Contract", "OpenAPI"]),
    suite("Host", ["Wire", "Contract", "Sandbox", "Deliveries", "Host", "confine"]),
    suite("Worker", ["Wire", "Deliveries", "Worker"]),
    suite("Gateway", ["gateway", "Contract", "Forms", "Wire", "Host", "Limits", nio, nioPosix, nioHTTP1]),
    suite(
      "Transports",
      [
        "Wire", "Contract", "Forms", "Deliveries", "Transports", "Sink", "handlers-notifiers",
      ]),
    suite("Sink", ["Wire", "Contract", "Forms", "Sink"]),
    suite("Samples", ["Wire", "Forms", "Leads", "Samples"]),
    suite("Terminal", ["Terminal"]),
  ]
)

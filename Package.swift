// swift-tools-version:6.2
// The rooms of the house, and which handler may use which: the trust map.
import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

func room(_ name: String, _ uses: [Target.Dependency] = [], path: String? = nil) -> Target {
  .target(name: name, dependencies: uses, path: path ?? "Sources/\(name)", swiftSettings: settings)
}

func handler(_ trustClass: String, _ name: String, _ uses: [String]) -> Target {
  .executableTarget(
    name: name, dependencies: (["Contract", "Wire"] + uses).map { .byName(name: $0) },
    path: "handlers/\(trustClass)/\(name)", swiftSettings: settings)
}

func suite(_ name: String, _ uses: [Target.Dependency]) -> Target {
  .testTarget(name: "\(name)Tests", dependencies: uses, path: "Tests/\(name)", swiftSettings: settings)
}

let nio: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")

/// Every handler in the folder of its trust class, with the modules it may use beside the contract.
let handlers: [Target] = [
  handler("intake", "contact-capture", ["Leads", "Store"]),
  handler("intake", "health-check", ["Deliveries", "Store"]),
  handler("intake", "inquiry-capture", ["Leads", "Store"]),
  handler("intake", "lead-capture", ["Forms", "Leads", "Store"]),
  handler("intake", "newsletter-subscribe", ["Forms", "Leads", "Store"]),
  handler("intake", "newsletter-unsubscribe", ["Forms", "Leads", "Store"]),
  handler("intake", "sell-capture", ["Leads", "Store"]),
  handler("admin", "agent-create", ["Admin", "Store"]),
  handler("admin", "agent-delete", ["Admin", "Forms", "Store"]),
  handler("admin", "agent-list", ["Admin", "Store"]),
  handler("admin", "agent-update", ["Admin", "Store"]),
  handler("admin", "analytics-report", ["Admin", "Store"]),
  handler("admin", "channel-list", ["Admin", "Deliveries", "Store"]),
  handler("admin", "channel-resume", ["Admin", "Deliveries", "Store"]),
  handler("admin", "channel-test", ["Admin", "Deliveries", "Store"]),
  handler("admin", "conversation-assign", ["Admin", "Forms", "Store"]),
  handler("admin", "conversation-bulk", ["Admin", "Store"]),
  handler("admin", "conversation-events", ["Admin", "Store"]),
  handler("admin", "conversation-explain", ["Admin", "Leads", "Store"]),
  handler("admin", "conversation-list", ["Admin", "Store"]),
  handler("admin", "conversation-messages", ["Admin", "Store"]),
  handler("admin", "conversation-notifications", ["Admin", "Store"]),
  handler("admin", "conversation-respond", ["Admin", "Forms", "Store"]),
  handler("admin", "conversation-search", ["Admin", "Store"]),
  handler("admin", "conversation-show", ["Admin", "Store"]),
  handler("admin", "conversation-timeline", ["Admin", "Store"]),
  handler("admin", "conversation-update", ["Admin", "Store"]),
  handler("admin", "event-list", ["Admin", "Store"]),
  handler("admin", "event-replay", ["Admin", "Store"]),
  handler("admin", "follow-up-create", ["Admin", "Store"]),
  handler("admin", "follow-up-list", ["Admin", "Store"]),
  handler("admin", "follow-up-update", ["Admin", "Store"]),
  handler("admin", "live-feed", ["Admin", "Forms", "Leads", "Store"]),
  handler("admin", "live-show", ["Admin", "Forms", "Store"]),
  handler("admin", "notification-list", ["Admin", "Store"]),
  handler("admin", "notification-retry", ["Admin", "Store"]),
  handler("admin", "session-close", ["Admin", "Store"]),
  handler("admin", "session-open", ["Admin", "Forms", "Store"]),
  handler("admin", "session-show", ["Admin", "Store"]),
  handler("admin", "sla-list", ["Admin", "Store"]),
  handler("admin", "subscriber-delete", ["Admin", "Store"]),
  handler("admin", "subscriber-list", ["Admin", "Store"]),
  handler("worker", "data-prune", ["Store"]),
  handler("worker", "delivery-begin", ["Deliveries", "Store"]),
  handler("worker", "delivery-record", ["Deliveries", "Store"]),
  handler("worker", "event-claim", ["Deliveries", "Forms", "Store"]),
  handler("worker", "notify-email", ["Deliveries", "Transports"]),
  handler("worker", "notify-slack", ["Deliveries", "Transports"]),
  handler("worker", "notify-telegram", ["Deliveries", "Transports"]),
  handler("worker", "wake-listen", ["Store"]),
  handler("none", "rate-limit", ["Limits"]),
]

let package = Package(
  name: "leadpipe",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1", traits: []),
    .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
  ],
  targets: handlers + [
    .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .systemLibrary(name: "CProcess"),
    room("Wire"),
    room("Sandbox", ["CProcess"]),
    room("Contract", ["Wire", "Sandbox", "CProcess"]),
    room("Forms", ["Wire"]),
    room("Leads", ["Wire", "Forms"]),
    room("Deliveries", ["Wire"]),
    room("Limits"),
    room("Store", ["Wire", "Contract", "Forms", "Leads", "Deliveries", "CPostgres"]),
    room("Transports", ["Wire", "Contract", "Forms", "Deliveries", "CCurl"]),
    room(
      "Admin",
      ["Wire", "Contract", "Forms", "Leads", "Deliveries", "Store", .product(name: "Crypto", package: "swift-crypto")]),
    room("OpenAPI", ["Wire", "Contract"]),
    room("Host", ["Wire", "Contract", "Sandbox", "Deliveries", "CProcess"]),
    room("Worker", ["Wire", "Contract", "Deliveries", "Host"]),
    room("Sink", ["Wire", "Contract", hummingbird, nio, nioPosix]),
    room("Samples", ["Wire"]),
    .executableTarget(name: "confine", dependencies: ["Host"], path: "Sources/confine", swiftSettings: settings),
    .executableTarget(
      name: "gateway",
      dependencies: [
        "Wire", "Contract", "Sandbox", "Host", "OpenAPI", "Limits",
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        .product(name: "Logging", package: "swift-log"),
        nio, nioPosix, nioHTTP1,
      ], path: "gateway", swiftSettings: settings),
    .executableTarget(
      name: "leadpipe",
      dependencies: [
        "Wire", "Contract", "Sandbox", "Forms", "Leads", "Deliveries", "Limits", "Store", "Transports", "Admin",
        "OpenAPI",
        "Host", "Worker", "Sink", "Samples",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: settings),
    suite("Wire", ["Wire"]),
    suite("Contract", ["Wire", "Contract"]),
    suite("Sandbox", ["Sandbox"]),
    suite("Forms", ["Wire", "Forms"]),
    suite("Leads", ["Wire", "Forms", "Leads"]),
    suite("Deliveries", ["Wire", "Deliveries"]),
    suite("Limits", ["Limits"]),
    suite("Store", ["Wire", "Store"]),
    suite("Admin", ["Wire", "Contract", "Leads", "Deliveries", "Admin"]),
    suite("OpenAPI", ["Wire", "Contract", "OpenAPI"]),
    suite("Host", ["Wire", "Contract", "Sandbox", "Deliveries", "Host", "confine"]),
    suite("Worker", ["Wire", "Deliveries", "Worker"]),
    suite("Gateway", ["gateway", "Contract", "Wire", "Host", "Limits", nioPosix, nioHTTP1]),
    suite(
      "Transports",
      [
        "Wire", "Contract", "Forms", "Deliveries", "Transports", "Sink", "notify-slack", "notify-telegram",
        "notify-email",
      ]),
    suite("Sink", ["Wire", "Contract", "Sink"]),
    suite("Samples", ["Wire", "Forms", "Leads", "Samples"]),
  ]
)

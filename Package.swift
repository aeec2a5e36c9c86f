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

func handler(_ name: String, _ uses: [String]) -> Target {
  .executableTarget(
    name: name, dependencies: (["Handler", "Wire"] + uses).map { .byName(name: $0) }, path: "handlers/\(name)",
    swiftSettings: settings)
}

func suite(_ name: String, _ uses: [Target.Dependency]) -> Target {
  .testTarget(name: "\(name)Tests", dependencies: uses, path: "Tests/\(name)", swiftSettings: settings)
}

let nio: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")

/// Every handler with the rooms it may use beside the contract.
let handlers: [Target] = [
  handler("agent-create", ["Admin", "Leads", "Store"]),
  handler("agent-delete", ["Admin", "Leads", "Store"]),
  handler("agent-list", ["Admin", "Leads", "Store"]),
  handler("agent-update", ["Admin", "Leads", "Store"]),
  handler("analytics-report", ["Admin", "Leads", "Store"]),
  handler("channel-list", ["Admin", "Leads", "Store"]),
  handler("channel-resume", ["Admin", "Leads", "Store"]),
  handler("channel-test", ["Admin", "Leads", "Store"]),
  handler("contact-capture", ["Leads", "Store"]),
  handler("conversation-assign", ["Admin", "Leads", "Store"]),
  handler("conversation-bulk", ["Admin", "Leads", "Store"]),
  handler("conversation-events", ["Admin", "Leads", "Store"]),
  handler("conversation-explain", ["Admin", "Leads", "Store"]),
  handler("conversation-list", ["Admin", "Leads", "Store"]),
  handler("conversation-messages", ["Admin", "Leads", "Store"]),
  handler("conversation-notifications", ["Admin", "Leads", "Store"]),
  handler("conversation-respond", ["Admin", "Leads", "Store"]),
  handler("conversation-search", ["Admin", "Leads", "Store"]),
  handler("conversation-show", ["Admin", "Store"]),
  handler("conversation-timeline", ["Admin", "Leads", "Store"]),
  handler("conversation-update", ["Admin", "Leads", "Store"]),
  handler("data-prune", ["Store"]),
  handler("delivery-begin", ["Leads", "Store"]),
  handler("delivery-record", ["Leads", "Store"]),
  handler("event-claim", ["Leads", "Store"]),
  handler("event-list", ["Admin", "Leads", "Store"]),
  handler("event-replay", ["Admin", "Leads", "Store"]),
  handler("follow-up-create", ["Admin", "Leads", "Store"]),
  handler("follow-up-list", ["Admin", "Leads", "Store"]),
  handler("follow-up-update", ["Admin", "Leads", "Store"]),
  handler("health-check", ["Leads", "Store"]),
  handler("inquiry-capture", ["Leads", "Store"]),
  handler("lead-capture", ["Leads", "Store"]),
  handler("live-feed", ["Admin", "Leads", "Store"]),
  handler("live-show", ["Admin", "Leads", "Store"]),
  handler("newsletter-subscribe", ["Leads", "Store"]),
  handler("newsletter-unsubscribe", ["Leads", "Store"]),
  handler("notification-list", ["Admin", "Leads", "Store"]),
  handler("notification-retry", ["Admin", "Leads", "Store"]),
  handler("notify-email", ["Leads", "Delivery"]),
  handler("notify-slack", ["Leads", "Delivery"]),
  handler("notify-telegram", ["Leads", "Delivery"]),
  handler("rate-limit", ["Limits"]),
  handler("sell-capture", ["Leads", "Store"]),
  handler("session-close", ["Admin", "Leads", "Store"]),
  handler("session-open", ["Admin", "Leads", "Store"]),
  handler("session-show", ["Admin", "Leads", "Store"]),
  handler("sla-list", ["Admin", "Leads", "Store"]),
  handler("subscriber-delete", ["Admin", "Leads", "Store"]),
  handler("subscriber-list", ["Admin", "Leads", "Store"]),
  handler("wake-listen", ["Store"]),
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
    room("Handler", ["Wire", "CProcess"]),
    room("Leads", ["Wire"]),
    room("Limits"),
    room("Store", ["Wire", "Handler", "Leads", "CPostgres"]),
    room("Delivery", ["Wire", "Handler", "Leads", "CCurl"]),
    room("Admin", ["Wire", "Handler", "Leads", "Store", .product(name: "Crypto", package: "swift-crypto")]),
    room("Host", ["Wire", "Handler", "CProcess"]),
    room("Worker", ["Wire", "Handler", "Leads", "Host"]),
    room("Sink", ["Wire", "Handler", hummingbird, nio, nioPosix]),
    room("Samples", ["Wire"]),
    .executableTarget(name: "confine", dependencies: ["Host"], path: "Sources/confine", swiftSettings: settings),
    .executableTarget(
      name: "gateway",
      dependencies: [
        "Wire", "Handler", "Host", "Limits",
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        .product(name: "Logging", package: "swift-log"),
        nio, nioPosix, nioHTTP1,
      ], path: "gateway", swiftSettings: settings),
    .executableTarget(
      name: "leadpipe",
      dependencies: [
        "Wire", "Handler", "Leads", "Limits", "Store", "Delivery", "Admin", "Host", "Worker", "Sink", "Samples",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], swiftSettings: settings),
    suite("Wire", ["Wire"]),
    suite("Handler", ["Wire", "Handler"]),
    suite("Leads", ["Wire", "Leads"]),
    suite("Limits", ["Limits"]),
    suite("Store", ["Wire", "Store"]),
    suite("Admin", ["Wire", "Handler", "Admin"]),
    suite("Host", ["Wire", "Handler", "Host", "confine"]),
    suite("Worker", ["Wire", "Leads", "Worker"]),
    suite("Gateway", ["gateway", "Handler", "Wire", "Host", "Limits", nioPosix, nioHTTP1]),
    suite(
      "Delivery",
      ["Wire", "Handler", "Leads", "Delivery", "Sink", "notify-slack", "notify-telegram", "notify-email"]),
    suite("Sink", ["Wire", "Handler", "Sink"]),
    suite("Samples", ["Wire", "Leads", "Samples"]),
  ]
)

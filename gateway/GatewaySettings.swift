import Glibc
import Handler
import Host
import Wire

/// What the operator has set, checked: every fault is found before any is reported.
struct GatewaySettings: Sendable {
  /// Where requests come from.
  enum Address: Sendable, Equatable {
    case tcp(host: String, port: Int)
    case unix(path: String)
  }

  let address: Address
  let handlerFolder: String
  let trust: [String: TrustClass]
  /// How many handler processes run at a time.
  let concurrency: Int
  /// All of our environment: what a handler gets is chosen from it, name by name.
  let environment: [String: String]

  init(_ environment: [String: String]) throws(Problem) {
    let settings = try Settings(Self.declared, from: environment)
    if let listen = settings["LEADPIPE_LISTEN"] {
      address = .unix(path: String(listen.dropFirst("unix:".count)))
    } else {
      address = .tcp(host: settings["LEADPIPE_HOST"] ?? "127.0.0.1", port: settings.number("PORT", default: 4000))
    }
    handlerFolder = settings["LEADPIPE_HANDLERS"] ?? Self.folderOfThisProgram + "/handlers"
    trust = try settings["LEADPIPE_TRUST"].map(TrustFile.init(path:))?.classes ?? [:]
    concurrency = settings.number("LEADPIPE_CONCURRENCY", default: 16)
    self.environment = environment
  }

  private static let declared: [Setting] = [
    .number("PORT", 0...65_535),
    Setting("LEADPIPE_HOST"),
    Setting("LEADPIPE_LISTEN") { value in
      value.hasPrefix("unix:/") && value.utf8.count <= "unix:".count + 107
        ? nil : "must be unix: and an absolute path of at most 107 bytes"
    },
    Setting("LEADPIPE_HANDLERS"),
    Setting("LEADPIPE_TRUST") { path in
      do throws(Problem) {
        _ = try TrustFile(path: path)
        return nil
      } catch { return error.detail }
    },
    Setting("LEADPIPE_PROCESS") { mode in
      switch mode {
      case "oneshot": nil
      case "warm", "stream": "must be oneshot: this version has no \(mode) processes"
      default: "must be oneshot"
      }
    },
    .number("LEADPIPE_CONCURRENCY", 1...1024),
    .logLevel, .logFormat,
  ]

  /// The folder that this executable lies in, whatever it was called by.
  private static var folderOfThisProgram: String {
    var buffer = [UInt8](repeating: UInt8(0), count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &buffer, buffer.count)
    let path = String(decoding: buffer.prefix(max(count, 0)), as: UTF8.self)
    return path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
  }
}

/// The operator's own trust table: `{"name": "intake|worker|admin|none"}`.
struct TrustFile: Sendable {
  let classes: [String: TrustClass]

  /// Reads the file; the problem's detail ends a sentence that begins with the setting's name.
  init(path: String) throws(Problem) {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw Problem(.misconfigured, "names a file that cannot be opened") }
    defer { close(file) }
    guard let bytes = readUntilEnd(file, limit: 1_048_576, milliseconds: 2000),
      let members = (try? JSON(reading: bytes))?.members
    else { throw Problem(.misconfigured, "names a file that is no JSON object") }
    var classes: [String: TrustClass] = [:]
    for member in members {
      guard let trust = member.value.string.flatMap(TrustClass.init(rawValue:)) else {
        throw Problem(.misconfigured, "names a file that gives \(member.key) no class of intake, worker, admin or none")
      }
      classes[member.key] = trust
    }
    self.classes = classes
  }
}

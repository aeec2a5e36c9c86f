import Contract
import Glibc
import Host
import NIOPosix
import Synchronization
import Testing
import Wire

/// Threads for calls that block, because the test process has few threads of its own.
let threads: NIOThreadPool = {
  let pool = NIOThreadPool(numberOfThreads: 96)
  pool.start()
  return pool
}()

/// A handler that is a shell script, with its description.
struct Script {
  let name: String
  var routes: [(String, String)]
  var timeLimitMs = 5000
  var bodyLimit = 300_000
  var environment: [String] = []
  var access = Description.Access.public
  var streams = true
  var rateClass = "default"
  var kind = Description.Kind.endpoint
  var feed: String?
  var bodyFollows = false
  let lines: String

  init(
    _ name: String, _ routes: (String, String)..., timeLimitMs: Int = 5000, environment: [String] = [],
    run lines: String
  ) {
    self.name = name
    self.routes = routes.isEmpty ? [("POST", "/" + name)] : routes
    self.timeLimitMs = timeLimitMs
    self.environment = environment
    self.lines = lines
  }

  func write(to folder: String) {
    var description = Description(
      name: name, kind: kind, summary: "a test", routes: kind == .step ? [] : routes.map { .init($0.0, $0.1) },
      access: access, rateClass: rateClass, bodyLimit: bodyLimit, timeLimitMs: timeLimitMs, streams: streams,
      feed: feed, environment: environment.map { Setting($0) }, input: .init([:]), output: .init([:]))
    description.bodyFollows = bodyFollows
    writeFile(
      "\(folder)/\(name)",
      """
      #!/bin/sh
      [ "$1" = --describe ] && { echo '\(description.document.text)'; exit; }
      \(lines)

      """, mode: 0o755)
  }

  /// The command line of the `sleep` that the script starts. Each script sleeps for a different number of seconds.
  var sleepCommand: String {
    let number = lines.split { $0 == " " || $0 == ";" }.first { $0.hasPrefix("608") } ?? "608.."
    return "sleep\u{0}\(number)"
  }

  /// Replies with the envelope.
  static let echo = Script(
    "echo", ("POST", "/echo/{id}"), ("GET", "/echo"),
    run: #"printf '{"statusCode":200,"cookies":["a=1","b=2"],"isBase64Encoded":true,"body":"%s"}' "$(base64 -w0)""#)
}

func writeFile(_ path: String, _ text: String, mode: mode_t) {
  let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode)
  #expect(file >= 0)
  let bytes = Array(text.utf8)
  #expect(write(file, bytes, bytes.count) == bytes.count)
  close(file)
}

func temporaryFolder() -> String {
  let path = "/tmp/gateway-test-\(UUIDText.random().text)"
  mkdir(path, 0o700)
  return path
}

/// Removes a temporary folder and its contents.
func remove(_ folder: String) throws {
  let rm = try Child.spawn("/bin/rm", ["-rf", folder], environment: [:], pipesError: false)
  _ = rm.wait()
  close(rm.input)
  close(rm.output)
}

/// A running gateway with its own handlers, on a port that the system chose.
final class RunningGateway: Sendable {
  let child: Child
  let port: Int
  let folder: String
  private let log: Mutex<String>

  /// Starts the gateway and waits until it listens. With `grantsFolder`, the scripts may read and write its folder.
  static func start(
    _ scripts: [Script], _ settings: [String: String] = [:], grantsFolder: Bool = false
  ) async throws -> RunningGateway {
    let folder = temporaryFolder()
    mkdir(folder + "/handlers", 0o700)
    for script in scripts { script.write(to: folder + "/handlers") }
    // Rate limits are off except in their own tests.
    var environment = ["PORT": "0", "LEADPIPE_HANDLERS": folder + "/handlers", "RATE_LIMIT_DEFAULT": "off"]
      .merging(settings) { $1 }
    if grantsFolder {
      let entries = scripts.map { #""\#($0.name)": {"class": "none", "write": ["\#(folder)"]}"# }
      writeFile(folder + "/trust.json", "{\(entries.joined(separator: ", "))}", mode: 0o600)
      environment["LEADPIPE_TRUST"] = folder + "/trust.json"
    }
    return try await threads.runIfActive { [environment] in try RunningGateway(folder, environment) }
  }

  static var program: String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count)
    let path = String(decoding: buffer.prefix(count), as: UTF8.self)
    // The gateway is beside the test program, or in the build folder if another program runs the tests.
    let beside = path.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/gateway"
    return access(beside, X_OK) == 0 ? beside : Bundle.folder + "/gateway"
  }

  private init(_ folder: String, _ environment: [String: String]) throws {
    self.folder = folder
    child = try Child.spawn(Self.program, environment: environment, pipesError: true)
    var text = ""
    while !text.contains("Gateway listening"), let more = readSome(child.error) { text += more }
    let address = text.split(separator: "\n").last { $0.contains("Gateway listening") } ?? ""
    port = address.split(separator: ":").last.flatMap { Int($0) } ?? 0
    log = Mutex(text)
    threads.submit { [self] _ in
      while let more = readSome(child.error) { log.withLock { $0 += more } }
    }
  }

  /// The lines that the gateway has logged so far, without the times at their beginning.
  var lines: [String] {
    log.withLock { $0 }.split(separator: "\n").map { line in
      let isTimed = Instant(iso8601: String(line.prefix(24))) != nil
      return String(isTimed ? line.dropFirst(25) : line)
    }
  }

  /// Waits up to five seconds until the gateway has logged a line with `text`. True if it has.
  func logged(_ text: String) async -> Bool {
    await eventually { lines.contains { $0.contains(text) } }
  }

  /// The number of child processes, zombies included.
  var children: Int { numbered("/proc").count { (try? parent(of: $0)) == child.pid } }

  /// The child process that runs the handler of this name. Nil if there is none.
  func child(named name: String) -> pid_t? {
    numbered("/proc").first { number in
      (try? parent(of: number)) == child.pid && readFile("/proc/\(number)/cmdline").contains("/" + name)
    }.map { pid_t($0) }
  }

  /// The number of open descriptors without those of timers, which the runtime opens when it first needs them.
  var descriptors: Int {
    numbered("/proc/\(child.pid)/fd").count { number in
      var buffer = [CChar](repeating: 0, count: 64)
      return readlink("/proc/\(child.pid)/fd/\(number)", &buffer, 63) > 0 && strcmp(buffer, "anon_inode:[timerfd]") != 0
    }
  }

  private func parent(of pid: Int) throws -> Int32? {
    let fields = readFile("/proc/\(pid)/stat").split(separator: ")").last?.split(separator: " ")
    return fields.flatMap { $0.count > 1 ? Int32($0[1]) : nil }
  }

  /// Sends the gateway a signal to stop, and waits for its end. Returns its exit status.
  func stop(by signal: Int32 = SIGTERM) async throws -> Termination? {
    kill(child.pid, signal)
    let child = child
    let end = try await threads.runIfActive { child.wait() }
    close(child.input)
    close(child.output)
    try remove(folder)
    return end
  }
}

/// Runs a gateway that must refuse to start. Returns its exit status and its stderr.
func refusedStart(_ environment: [String: String]) async throws -> (Termination?, String) {
  try await threads.runIfActive {
    let child = try Child.spawn(RunningGateway.program, environment: environment, pipesError: true)
    let text = readUntilEnd(child.error, limit: 100_000, milliseconds: 5000) ?? []
    kill(child.pid, SIGKILL)
    return (child.wait(), String(decoding: text, as: UTF8.self))
  }
}

func readSome(_ descriptor: Int32) -> String? {
  var buffer = [UInt8](repeating: 0, count: 65_536)
  let count = read(descriptor, &buffer, buffer.count)
  return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
}

func readFile(_ path: String) -> String {
  let file = open(path, O_RDONLY | O_CLOEXEC)
  defer { close(file) }
  return file < 0 ? "" : readSome(file) ?? ""
}

/// The entries of a folder whose names are numbers.
func numbered(_ path: String) -> [Int] {
  guard let folder = opendir(path) else { return [] }
  defer { closedir(folder) }
  var numbers: [Int] = []
  while let entry = readdir(folder) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if let number = Int(name) { numbers.append(number) }
  }
  return numbers
}

/// True if a condition becomes true within five seconds.
func eventually(_ isTrue: () -> Bool) async -> Bool {
  for _ in 0..<250 {
    if isTrue() { return true }
    try? await Task.sleep(for: .milliseconds(20))
  }
  return false
}

/// True if within five seconds no process has `word` on its command line.
func areGone(_ word: String) async -> Bool {
  await eventually { !numbered("/proc").contains { readFile("/proc/\($0)/cmdline").contains(word) } }
}

private enum Bundle {
  static var folder: String {
    CommandLine.arguments.first { $0.contains(".xctest") || $0.hasSuffix("PackageTests") }
      .map { $0.split(separator: "/").dropLast().map { "/" + $0 }.joined() } ?? ".build/debug"
  }
}

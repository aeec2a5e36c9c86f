import Contract
import Glibc
import Host
import Testing
import Wire

/// The path of the built launcher: beside the test program, or in the build folder if another program runs the tests.
let launcher: String = {
  if access(Launch.path, X_OK) == 0 { return Launch.path }
  let tests = CommandLine.arguments.first { $0.contains(".xctest") || $0.hasSuffix("PackageTests") } ?? ".build/debug/x"
  return (tests.lastIndex(of: "/").map { String(tests[..<$0]) } ?? ".") + "/confine"
}()

/// A temporary folder of shell scripts that act as handlers. It is removed when it is released.
private final class Scripts {
  let path: String

  init() throws {
    var template = Array("/tmp/leadpipe-host-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    guard let folder = opendir(path) else { return }
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      unlink(path + "/" + name)
    }
    closedir(folder)
    rmdir(path)
  }

  /// Writes a script, in a process of its own. A file that is open for writing cannot be run, and a child that another
  /// test is starting at the moment would inherit our descriptor.
  func add(_ name: String, _ script: String, mode: String = "755") throws {
    let child = try Child.spawn(
      "/bin/sh", ["-c", #"cat > "$0" && chmod "$1" "$0""#, path + "/" + name, mode], environment: ["PATH": "/bin"],
      pipesError: false)
    let bytes = Array(("#!/bin/sh\n" + script + "\n").utf8)
    #expect(write(child.input, bytes, bytes.count) == bytes.count)
    close(child.input)
    close(child.output)
    #expect(child.wait() == .exited(0))
  }

  /// Writes a handler with a route and an environment. It describes itself as `ownName`, which defaults to `name`.
  func add(_ name: String, describedAs ownName: String? = nil, route: String, environment: [String] = []) throws {
    let names = environment.map { #"{"name":"\#($0)","required":false}"# }.joined(separator: ",")
    try add(
      name,
      """
      echo '{"name":"\(ownName ?? name)","kind":"endpoint","summary":"s",\
      "routes":[{"method":"GET","path":"\(route)"}],"access":"public","rateClass":"default","bodyLimit":10,\
      "timeLimitMs":1000,"environment":[\(names)],"input":{},"output":{}}'
      """)
  }
}

@Suite("A child process") struct ChildTests {
  private func output(of child: Child) -> String {
    close(child.input)
    defer { close(child.output) }
    return String(decoding: readUntilEnd(child.output, limit: 65_536, milliseconds: 5000) ?? [], as: UTF8.self)
  }

  @Test("gets only the environment that it is given, and nothing of its parent's")
  func environment() throws {
    setenv("LEADPIPE_HOST_TEST_SECRET", "canary", 1)
    let child = try Child.spawn("/usr/bin/env", environment: ["A": "1"], pipesError: false)
    let variables = output(of: child).split(separator: "\n").sorted()
    #expect(variables == ["A=1", "LEADPIPE_SUPERVISED=1", "SWIFT_BACKTRACE=enable=no"])
    #expect(child.wait() == .exited(0))
  }

  @Test("inherits no descriptor except stdin, stdout and stderr") func descriptors() throws {
    let leak = open("/dev/null", O_RDONLY)
    defer { close(leak) }
    let child = try Child.spawn(
      "/bin/sh", ["-c", "ls /proc/self/fd | wc -l"], environment: ["PATH": "/bin"], pipesError: false)
    // These three, and the one with which ls reads the folder.
    #expect(output(of: child) == "4\n")
    _ = child.wait()
  }

  @Test("is killed together with its process group") func group() throws {
    let child = try Child.spawn(
      "/bin/sh", ["-c", "trap '' TERM; sleep 60 & echo $!; wait"], environment: ["PATH": "/bin"], pipesError: false)
    var digits = [UInt8](repeating: 0, count: 16)
    let count = read(child.output, &digits, digits.count)
    let grandchild = try #require(pid_t(String(decoding: digits.prefix(max(count - 1, 0)), as: UTF8.self)))
    #expect(child.poll() == nil)
    child.signalGroup(SIGKILL)
    #expect(child.wait() == .signalled(SIGKILL))
    close(child.input)
    close(child.output)
    var tries = 0
    while isRunning(grandchild), tries < 200 {
      usleep(10_000)
      tries += 1
    }
    #expect(!isRunning(grandchild))
  }

  /// True if a process is running. A zombie does not count.
  private func isRunning(_ pid: pid_t) -> Bool {
    let file = open("/proc/\(pid)/stat", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return false }
    defer { close(file) }
    let text = String(decoding: readUntilEnd(file, limit: 4096, milliseconds: 1000) ?? [], as: UTF8.self)
    return !text.isEmpty && !text.contains(") Z ")
  }

  @Test("reports the error if it cannot be started") func missing() {
    #expect {
      try Child.spawn("/nonexistent", environment: [:], pipesError: false)
    } throws: { ($0 as? Child.Failure)?.code == ENOENT }
  }

  @Test("reports its exit status", arguments: [("exit 0", 0), ("exit 78", 78)])
  func exits(_ script: String, _ status: Int32) throws {
    let child = try Child.spawn("/bin/sh", ["-c", script], environment: [:], pipesError: false)
    #expect(output(of: child) == "")
    #expect(child.wait() == .exited(status))
  }
}

@Suite("Reading until the end") struct ReadingTests {
  private func read(_ script: String, limit: Int, milliseconds: Int) throws -> [UInt8]? {
    let child = try Child.spawn("/bin/sh", ["-c", script], environment: ["PATH": "/bin"], pipesError: false)
    defer {
      close(child.input)
      close(child.output)
      child.signalGroup(SIGKILL)
      _ = child.wait()
    }
    return readUntilEnd(child.output, limit: limit, milliseconds: milliseconds)
  }

  @Test("returns all bytes") func all() throws {
    #expect(try read("printf abc", limit: 3, milliseconds: 5000) == Array("abc".utf8))
  }

  @Test("returns nil if the size or the time exceeds its limit") func bounds() throws {
    #expect(try read("printf abcd", limit: 3, milliseconds: 5000) == nil)
    #expect(try read("printf abc; sleep 30", limit: 100, milliseconds: 200) == nil)
  }
}

@Suite("The folder of handlers") struct HandlerFolderTests {
  private func reason(_ scripts: Scripts) -> String? {
    do throws(HandlerFolder.Failure) {
      _ = try HandlerFolder(path: scripts.path, launcher: launcher)
      return nil
    } catch { return error.reason }
  }

  @Test("lists executable files by their descriptions") func lists() throws {
    let scripts = try Scripts()
    try scripts.add("one", route: "/one")
    try scripts.add("two", route: "/two/{id}")
    try scripts.add("notes.txt", "no program", mode: "644")
    try scripts.add(".hidden", "exit 1")
    let folder = try HandlerFolder(path: scripts.path, launcher: launcher)
    #expect(folder.handlers.map(\.description.name) == ["one", "two"])
    #expect(folder["two"]?.description.routes == [Description.Route("GET", "/two/{id}")])
    #expect(folder["three"] == nil)
  }

  @Test("gives a foreign handler no access to the database or providers until the operator lists it")
  func foreignHandlers() throws {
    let scripts = try Scripts()
    try scripts.add("foreign", route: "/f", environment: ["DATABASE_URL", "SLACK_WEBHOOK_URL", "LOG_LEVEL", "HOME"])
    let settings = [
      "DATABASE_URL": "postgresql://all", "DATABASE_URL_WORKER": "postgresql://worker",
      "SLACK_WEBHOOK_URL": "https://x", "LOG_LEVEL": "info", "HOME": "/root", "ADMIN_API_KEY": "k",
    ]
    let foreign = try #require(try HandlerFolder(path: scripts.path, launcher: launcher)["foreign"])
    #expect(foreign.trust == .none)
    #expect(foreign.environment(from: settings) == ["LOG_LEVEL": "info"])
    let listed = try #require(
      try HandlerFolder(path: scripts.path, trust: ["foreign": Trusted(.worker)], launcher: launcher)["foreign"])
    #expect(
      listed.environment(from: settings) == [
        "DATABASE_URL": "postgresql://worker", "SLACK_WEBHOOK_URL": "https://x", "LOG_LEVEL": "info",
      ])
    // If all classes share one login, the handler takes the role of its class.
    var shared = settings
    shared["DATABASE_URL_WORKER"] = nil
    #expect(listed.environment(from: shared)["DATABASE_URL"] == "postgresql://all")
    #expect(listed.environment(from: shared)["LEADPIPE_ROLE"] == "leadpipe_worker")
  }

  @Test("lets stream processes of class intake go past a pooler, but none that is foreign or reports about the pooler")
  func streamsPastThePooler() throws {
    var settings = [
      "DATABASE_URL": "postgresql://all", "DATABASE_URL_INTAKE": "postgresql://pooled",
      "DATABASE_URL_INTAKE_STREAM": "postgresql://direct", "DATABASE_URL_ADMIN": "postgresql://admin",
    ]
    let scripts = try Scripts()
    for name in ["lead-capture", "agent-list", "foreign"] {
      try scripts.add(name, route: "/" + name, environment: ["DATABASE_URL"])
    }
    try scripts.add("health-check", route: "/h", environment: ["DATABASE_URL", "POOLER"])
    let folder = try HandlerFolder(path: scripts.path, trust: ["foreign": Trusted(.intake)], launcher: launcher)
    func environment(_ name: String, lasts: Bool = true) throws -> [String: String] {
      try #require(folder[name]).environment(from: settings, lasts: lasts)
    }
    #expect(try environment("lead-capture")["DATABASE_URL"] == "postgresql://direct")
    #expect(try environment("lead-capture")["LEADPIPE_ROLE"] == nil)
    #expect(try environment("lead-capture", lasts: false)["DATABASE_URL"] == "postgresql://pooled")
    #expect(try environment("foreign")["DATABASE_URL"] == "postgresql://pooled")
    #expect(try environment("health-check")["DATABASE_URL"] == "postgresql://pooled")
    #expect(try environment("agent-list")["DATABASE_URL"] == "postgresql://admin")
    // It is the same login by another way: if it is that of all classes, the role has to be set.
    settings["DATABASE_URL_INTAKE"] = nil
    #expect(try environment("lead-capture")["DATABASE_URL"] == "postgresql://direct")
    #expect(try environment("lead-capture")["LEADPIPE_ROLE"] == "leadpipe_intake")
    settings["DATABASE_URL_INTAKE_STREAM"] = ""
    #expect(try environment("lead-capture")["DATABASE_URL"] == "postgresql://all")
  }

  @Test("rejects a handler under another's name, and two handlers with one route") func duplicates() throws {
    let scripts = try Scripts()
    try scripts.add("one", describedAs: "lead-capture", route: "/one")
    #expect(reason(scripts)?.contains("reports the name lead-capture") == true)
    try scripts.add("one", route: "/same")
    try scripts.add("two", route: "/same")
    #expect(reason(scripts) == "GET /same is claimed by both one and two")
  }

  @Test(
    "rejects a handler that does not describe itself in time and in JSON",
    arguments: [
      ("sleep 30", "timed out"), ("exit 3", "failed"), ("echo hello", "did not print JSON"),
      ("echo '{}'", "lacks kind"), ("yes", "printed more than 1 MiB"),
    ])
  func bad(_ script: String, _ expected: String) throws {
    let scripts = try Scripts()
    try scripts.add("bad", script)
    #expect(reason(scripts)?.contains(expected) == true, "\(reason(scripts) ?? "accepted")")
  }

  @Test("fails if the folder cannot be read") func missing() {
    #expect(throws: HandlerFolder.Failure.self) { try HandlerFolder(path: "/nonexistent") }
  }
}

@Suite("The trust table") struct TrustTests {
  @Test("grants provider secrets to the worker only, and the admin key to admin only") func secrets() {
    for name in ["SLACK_WEBHOOK_URL", "TELEGRAM_BOT_TOKEN", "EMAIL_PASS", "RESEND_API_KEY"] {
      #expect(TrustClass.allCases.filter { $0.grants.contains(name) } == [.worker])
    }
    #expect(TrustClass.allCases.filter { $0.grants.contains("ADMIN_API_KEY") } == [.admin])
    #expect(!TrustClass.none.grants.contains("DATABASE_URL"))
  }

  @Test("gives each class with database access its own login") func logins() {
    let logins = TrustClass.allCases.compactMap(\.database)
    #expect(Set(logins.map(\.setting)).count == 3 && Set(logins.map(\.role)).count == 3)
    #expect(TrustClass.none.database == nil)
  }
}

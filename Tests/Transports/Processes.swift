import Foundation
import Glibc
import Wire

/// A temporary folder. It is removed when it is released.
final class Folder {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appending(path: "leadpipe-\(UUIDText.random().text)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func file(_ name: String, _ text: String = "") throws -> FileHandle {
    let file = url.appending(path: name)
    try Data(text.utf8).write(to: file)
    return try FileHandle(forUpdating: file)
  }

  func text(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: url.appending(path: name)), as: UTF8.self)
  }
}

/// The output, log and exit status of a program.
struct Run {
  let output: String
  let log: String
  let status: Int32

  /// Runs a program to its end. Blocks no thread of the test's pool, because the sink may run in this process.
  init(_ program: String, _ arguments: [String] = [], input: String = "", environment: [String: String] = [:])
    async throws
  {
    let folder = try Folder()
    let process = Process()
    process.executableURL = program.hasPrefix("/") ? URL(filePath: program) : try Self.notifier(program, in: folder)
    process.arguments = arguments
    process.environment = environment
    process.standardInput = try folder.file("in", input)
    process.standardOutput = try folder.file("out")
    process.standardError = try folder.file("log")
    try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
      process.terminationHandler = { _ in done.resume() }
      do { try process.run() } catch { done.resume(throwing: error) }
    }
    output = try folder.text("out")
    log = try folder.text("log")
    status = process.terminationStatus
  }

  /// Links the executable of the notifiers under the name of one. It is beside the test bundle in the build folder.
  private static func notifier(_ name: String, in folder: Folder) throws -> URL {
    let products = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    let link = folder.url.appending(path: name)
    try FileManager.default.createSymbolicLink(
      at: link, withDestinationURL: products.appending(path: "handlers-notifiers"))
    return link
  }

  var lines: [JSON] {
    get throws { try output.split(separator: "\n").map { try JSON(reading: String($0)) } }
  }
}

/// A small server in Python that prints its port, then one JSON document for each message that it received.
final class Stub {
  private let process = Process()
  private let folder: Folder
  let port: Int

  init(_ script: String, _ mode: JSON = [:]) async throws {
    folder = try Folder()
    process.executableURL = URL(filePath: "/usr/bin/python3")
    process.arguments = ["-u", "-c", script, mode.text]
    process.currentDirectoryURL = folder.url
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try folder.file("out")
    process.standardError = try folder.file("log")
    try process.run()
    var port: Int?
    for _ in 0..<300 where port == nil {
      try await Task.sleep(for: .milliseconds(20))
      let text = try folder.text("out")
      if text.contains("\n") { port = Int(text.prefix { $0 != "\n" }) }
    }
    guard let port else { throw StubError(log: try folder.text("log")) }
    self.port = port
  }

  /// Sends KILL, because TERM is blocked in threads of the test's pool and children inherit that.
  deinit { kill(process.processIdentifier, SIGKILL) }

  var received: [JSON] {
    get throws { try folder.text("out").split(separator: "\n").dropFirst().map { try JSON(reading: String($0)) } }
  }
}

struct StubError: Error { let log: String }

import Contract
import Glibc
import Sandbox
import Wire

/// The folder of handlers. Every executable file in it is a handler; its name must match the one in its `--describe`
/// output.
package struct HandlerFolder: Sendable {
  /// Why the folder cannot be used, as a message for the operator.
  package struct Failure: Error, Sendable {
    package let reason: String

    package init(reason: String) { self.reason = reason }
  }

  package let handlers: [HostedHandler]

  /// Describes every executable, or only those in `names`. `trust` holds the entries of the operator's LEADPIPE_TRUST,
  /// which add to our own table. Foreign handlers are started by `launcher`.
  package init(
    path: String, trust: [String: Trusted] = [:], only names: Set<String>? = nil,
    launcher: String = Launch.path
  ) throws(Failure) {
    var handlers: [HostedHandler] = []
    for name in try Self.names(in: path) where names?.contains(name) ?? true {
      let file = path + "/" + name
      let ours = TrustClass.table[name]
      let trusted = ours.map { Trusted($0) } ?? trust[name] ?? Trusted(.none)
      let grants = ours == nil ? trusted.grants : nil
      let description = try Self.describe(file, grants, launcher)
      guard description.name == name else {
        throw Failure(reason: "\(file) --describe reports the name \(description.name)")
      }
      handlers.append(
        HostedHandler(
          path: file, description: description, trust: trusted.trustClass, grants: grants,
          isListed: trust[name] != nil, launcher: launcher))
    }
    self.handlers = handlers
    var owners: [Description.Route: String] = [:]
    for handler in handlers {
      for route in handler.description.routes {
        if let other = owners.updateValue(handler.description.name, forKey: route) {
          throw Failure(reason: "\(route.key) is claimed by both \(other) and \(handler.description.name)")
        }
      }
    }
  }

  package subscript(name: String) -> HostedHandler? { handlers.first { $0.description.name == name } }

  /// Returns the names of the executables in a folder, in alphabetical order.
  package static func names(in path: String) throws(Failure) -> [String] {
    guard let folder = opendir(path) else {
      throw Failure(reason: "the handler folder \(path) cannot be read: \(String(cString: strerror(errno)))")
    }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      var status = stat()
      if !name.hasPrefix("."), stat(path + "/" + name, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
        access(path + "/" + name, X_OK) == 0
      {
        names.append(name)
      }
    }
    return names.sorted()
  }

  /// Runs `FILE --describe` with an empty environment. It must finish within ten seconds and print at most 1 MiB. A
  /// foreign file runs with at most the rights that it is granted for its work.
  private static func describe(
    _ file: String, _ grants: Confinement.Grants?, _ launcher: String
  ) throws(Failure) -> Description {
    let words = ["--describe"]
    let launch = grants.map { Launch(program: file, arguments: words, grants: $0) }
    let child: Child
    do throws(Child.Failure) {
      child = try Child.spawn(
        launch == nil ? file : launcher, launch?.words ?? words, environment: [:], pipesError: true)
    } catch { throw Failure(reason: error.reason) }
    close(child.input)
    let output = readUntilEnd(child.output, limit: 1_048_576, milliseconds: 10_000)
    close(child.output)
    let end = child.wait(until: output == nil ? .steady : Instant.steady.adding(seconds: 1))
    // Its stderr is not logged. Only the last line is reported, if it fails.
    let said = readUntilEnd(child.error, limit: 65_536, milliseconds: 100) ?? []
    close(child.error)
    guard let output else { throw Failure(reason: "\(file) --describe timed out or printed more than 1 MiB") }
    guard end == .exited(0) else {
      let last = said.split(separator: 0x0A).last.map { ": " + Log.visible(String(decoding: $0, as: UTF8.self)) }
      throw Failure(reason: "\(file) --describe failed\(last ?? "")")
    }
    let document: JSON
    do throws(JSONError) { document = try JSON(reading: output) } catch {
      throw Failure(reason: "\(file) --describe did not print JSON: \(error.reason)")
    }
    do throws(InvalidDescription) { return try Description(reading: document) } catch {
      throw Failure(reason: "\(file): \(error.reason)")
    }
  }
}

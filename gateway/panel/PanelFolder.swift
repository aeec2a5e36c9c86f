import Contract
import Glibc

/// A folder with the files of the panel or of the chatbot. It is read once, when the gateway starts: no request leads to
/// a file.
struct PanelFolder {
  /// The largest size of all files together, in bytes.
  static let sizeLimit = 2_097_152
  /// How many folders may be within each other.
  private static let depthLimit = 6

  /// The files by their paths in the folder.
  let files: [String: PanelFile]

  /// Throws with the reason if the folder lacks the `required` file, is too large, or has a file that cannot be served.
  /// Files whose names begin with a dot are ignored.
  /// - Parameter owner: whose folder it is: `the panel`.
  init(_ path: String, owner: String = "the panel", required: String = "index.html") throws(Problem) {
    var reading = Reading(root: path)
    do throws(Reading.Failure) {
      try reading.add("", depth: 0)
      files = try reading.files(required: required)
    } catch { throw Problem.misconfigured("\(owner)'s folder \(path) \(error.reason)") }
  }

  private struct Reading {
    /// Why the folder cannot be served, as the end of a sentence.
    struct Failure: Error { let reason: String }

    let root: String
    private var contents: [String: [UInt8]] = [:]
    private var size = 0

    init(root: String) { self.root = root }

    mutating func add(_ place: String, depth: Int) throws(Failure) {
      guard depth <= PanelFolder.depthLimit else { throw Failure(reason: "has too many folders within each other") }
      guard let folder = opendir(root + "/" + place) else { throw Self.unreadable(place) }
      defer { closedir(folder) }
      while let entry = readdir(folder) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name.hasPrefix(".") { continue }
        let path = place.isEmpty ? name : place + "/" + name
        var status = stat()
        guard stat(root + "/" + path, &status) == 0 else { throw Self.unreadable(path) }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: try add(path, depth: depth + 1)
        case S_IFREG: try read(path)
        default: throw Failure(reason: "has \(Log.visible(path)), which is neither a file nor a folder")
        }
      }
    }

    private mutating func read(_ path: String) throws(Failure) {
      let isPlain = path.utf8.allSatisfy {
        0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || "._-/".utf8.contains($0)
      }
      let name = path.hasSuffix(".gz") ? path.dropLast(3) : path[...]
      guard isPlain, let end = PanelFile.end(of: name), PanelFile.types[end] != nil else {
        throw Failure(
          reason: "has \(Log.visible(path)), which is no file of a web page (names of A-Z a-z 0-9 . _ - that end in "
            + PanelFile.types.keys.sorted().joined(separator: ", ") + ")")
      }
      let file = open(root + "/" + path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
      guard file >= 0 else { throw Self.unreadable(path) }
      defer { close(file) }
      var bytes: [UInt8] = []
      var part = [UInt8](repeating: 0, count: 65_536)
      while true {
        let count = Glibc.read(file, &part, part.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw Self.unreadable(path) }
        if count == 0 { break }
        bytes += part[..<count]
        size += count
        guard size <= PanelFolder.sizeLimit else { throw Failure(reason: "has more than 2 MiB of files") }
      }
      contents[path] = bytes
    }

    func files(required: String) throws(Failure) -> [String: PanelFile] {
      guard contents[required] != nil else { throw Failure(reason: "has no \(required)") }
      var files: [String: PanelFile] = [:]
      for (path, bytes) in contents where !path.hasSuffix(".gz") {
        let compressed = contents[path + ".gz"]
        if let compressed, GzipTrailer(reading: compressed) != GzipTrailer(of: bytes) {
          throw Failure(reason: "has \(path).gz, which is not \(path) compressed: run `make build`, or delete it")
        }
        let type = PanelFile.end(of: path).flatMap { PanelFile.types[$0] } ?? ""
        files[path] = PanelFile(bytes, type: type, compressed: compressed)
      }
      return files
    }

    private static func unreadable(_ path: String) -> Failure {
      let place = path.isEmpty ? "" : " (\(Log.visible(path)))"
      return Failure(reason: "cannot be read\(place): \(String(cString: strerror(errno)))")
    }
  }
}

import Glibc

/// What a handler's process may access in addition to its three descriptors, as enforced by the kernel. The code that
/// applies it and the code that explains it compute it from the same facts, so they always agree.
package struct Confinement: Sendable, Equatable {
  /// The origin of the program. A foreign program needs an interpreter and libraries and may start other programs of
  /// the system. Those inherit all restrictions.
  package enum Program: Sendable, Equatable {
    case ours
    case foreign(path: String)
  }

  /// Additional rights that an operator grants a foreign handler in LEADPIPE_TRUST.
  package struct Grants: Sendable, Equatable {
    /// Files, and folders with everything below them.
    package var read: [String] = []
    package var write: [String] = []
    /// TCP ports, on any host.
    package var connect: [Int] = []
    /// In MiB. Nil for the default.
    package var addressSpace: Int?

    package init(read: [String] = [], write: [String] = [], connect: [Int] = [], addressSpace: Int? = nil) {
      self.read = read
      self.write = write
      self.connect = connect
      self.addressSpace = addressSpace
    }
  }

  package let program: Program
  package let limits: [ResourceLimit]
  /// Files that can be read, and folders with everything below them. Paths that do not exist are ignored.
  package let readable: [String]
  /// The same for files that can be read and executed.
  package let executable: [String]
  /// The same for files that can be read and written.
  package let writable: [String]
  /// TCP ports that the process can connect to, sorted. It cannot listen on any.
  package let ports: [Int]
  /// True if the process may create Unix sockets or internet sockets, respectively. If both are false, it has no
  /// network access.
  package let hasLocalSockets: Bool
  package let hasInternetSockets: Bool

  /// - Parameter seconds: the CPU time that one request may take. Nil for a process that takes many requests.
  package init(_ program: Program, reach: Reach = Reach(), grants: Grants = Grants(), seconds: Int? = nil) {
    let isOurs = program == .ours
    self.program = program
    ports = Set(reach.ports + grants.connect).sorted()
    hasLocalSockets = reach.hasLocalSockets
    hasInternetSockets = !ports.isEmpty
    // A foreign handler cannot ask for it.
    let makesFiles = isOurs && reach.folder != nil
    limits = ResourceLimit.all(
      isOurs: isOurs, seconds: seconds, writesFiles: makesFiles || !grants.write.isEmpty,
      addressSpace: grants.addressSpace)
    readable =
      SystemFiles.time + reach.files + grants.read + (hasInternetSockets ? SystemFiles.names : [])
      + (hasInternetSockets || !isOurs ? SystemFiles.certificates : [])
      + (!isOurs ? SystemFiles.interpreters : hasInternetSockets || makesFiles ? SystemFiles.libraries : [])
      + (makesFiles ? SystemFiles.fonts : [])
    switch program {
    case .ours:
      executable = []
      writable = reach.folder.map { [$0] } ?? []
    case .foreign(let path):
      // Allow the folder, not the file: if the file is replaced during the start, a rule for the old file would not
      // cover the new one.
      executable = SystemFiles.programs + [String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])]
      writable = ["/dev/null"] + grants.write
    }
  }
}

/// System files that programs need. None of them is secret.
private enum SystemFiles {
  static let time = ["/usr/share/zoneinfo", "/etc/localtime", "/var/task/zoneinfo"]
  /// To resolve host names.
  static let names = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf"]
  /// To verify a peer: certificates of authorities, and OpenSSL's settings. Does not include /etc/ssl/private.
  static let certificates = [
    "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
    "/etc/pki/tls/certs", "/etc/pki/ca-trust", "/etc/pki/tls/openssl.cnf", "/etc/ca-certificates",
    "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem", "/var/lib/ca-certificates", "/etc/crypto-policies",
  ]
  /// For modules that the C library and OpenSSL load at run time: name resolution, ciphers.
  static let libraries = ["/usr/lib", "/usr/lib64", "/etc/ld.so.cache"]
  /// For the text of documents: Fontconfig's settings and cache, and fonts.
  static let fonts = [
    "/etc/fonts", "/usr/share/fontconfig", "/usr/share/fonts", "/usr/local/share/fonts", "/var/cache/fontconfig",
  ]
  /// For programs in any language to start.
  static let interpreters = [
    "/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/alternatives", "/dev/zero", "/dev/random", "/dev/urandom",
  ]
  static let programs = ["/usr", "/bin", "/sbin", "/lib", "/lib64"]
}

import Glibc

/// What a handler's process may touch beside its three descriptors, as far as the kernel holds it to that. Whoever applies it
/// and whoever explains it compute it from the same facts, so that both say the same.
package struct Confinement: Sendable, Equatable {
  /// Whose program it is. A foreign one needs an interpreter and libraries, may start other programs of the system, and
  /// carries all of this over to them.
  package enum Program: Sendable, Equatable {
    case ours
    case foreign(path: String)
  }

  /// What an operator adds for a foreign handler, in LEADPIPE_TRUST.
  package struct Grants: Sendable, Equatable {
    /// Files and folders, with all that is beneath them.
    package var read: [String] = []
    package var write: [String] = []
    /// TCP ports, on any host.
    package var connect: [Int] = []

    package init(read: [String] = [], write: [String] = [], connect: [Int] = []) {
      self.read = read
      self.write = write
      self.connect = connect
    }
  }

  package let program: Program
  package let limits: [ResourceLimit]
  /// Files and folders that can be read, with all that is beneath them. What does not exist is passed over.
  package let readable: [String]
  /// The same for what can be read and run.
  package let executable: [String]
  /// The same for what can be read and written.
  package let writable: [String]
  /// TCP ports that can be connected to, sorted. None can be listened on.
  package let ports: [Int]
  /// Whether it may make unix sockets, and those of the internet. With neither it can reach nothing.
  package let hasLocalSockets: Bool
  package let hasInternetSockets: Bool

  /// - Parameter seconds: how much processor time one request may take; nil for a process that takes many.
  package init(_ program: Program, reach: Reach = Reach(), grants: Grants = Grants(), seconds: Int? = nil) {
    let isOurs = program == .ours
    self.program = program
    ports = Set(reach.ports + grants.connect).sorted()
    hasLocalSockets = reach.hasLocalSockets
    hasInternetSockets = !ports.isEmpty
    limits = ResourceLimit.all(isOurs: isOurs, seconds: seconds, writesFiles: !grants.write.isEmpty)
    readable =
      SystemFiles.time + reach.files + grants.read + (hasInternetSockets ? SystemFiles.names : [])
      + (hasInternetSockets || !isOurs ? SystemFiles.certificates : [])
      + (!isOurs ? SystemFiles.interpreters : hasInternetSockets ? SystemFiles.libraries : [])
    switch program {
    case .ours:
      executable = []
      writable = []
    case .foreign(let path):
      // Its folder, not the file: one that is replaced while it is being started is another file under the same name.
      executable = SystemFiles.programs + [String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])]
      writable = ["/dev/null"] + grants.write
    }
  }
}

/// Where the system keeps what programs need of it. Nothing of it is secret.
private enum SystemFiles {
  static let time = ["/usr/share/zoneinfo", "/etc/localtime"]
  /// To find a host by its name.
  static let names = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf"]
  /// To believe a peer: the certificates of authorities, and OpenSSL's settings. Not /etc/ssl/private.
  static let certificates = [
    "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
    "/etc/pki/tls/certs", "/etc/pki/ca-trust", "/etc/pki/tls/openssl.cnf", "/etc/ca-certificates",
    "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem", "/var/lib/ca-certificates", "/etc/crypto-policies",
  ]
  /// For what the C library and OpenSSL load while they run: ways to find names, ciphers.
  static let libraries = ["/usr/lib", "/usr/lib64", "/etc/ld.so.cache"]
  /// For programs in any language to start.
  static let interpreters = [
    "/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/alternatives", "/dev/zero", "/dev/random", "/dev/urandom",
  ]
  static let programs = ["/usr", "/bin", "/sbin", "/lib", "/lib64"]
}

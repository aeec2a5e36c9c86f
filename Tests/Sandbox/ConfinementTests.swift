import Sandbox
import Testing

@Suite("What a process is held to") struct ConfinementTests {
  @Test("whom it may reach is what it is told: ports, files on the way, unix sockets") func reach() {
    let confinement = Confinement(.ours, reach: Reach(ports: [53, 5432], hasLocalSockets: true, files: ["/etc/x"]))
    #expect(confinement.ports == [53, 5432] && confinement.readable.contains("/etc/x"))
    #expect(confinement.hasLocalSockets && confinement.hasInternetSockets)
    #expect(confinement.readable.contains("/etc/ssl/certs") && confinement.readable.contains("/etc/resolv.conf"))
  }

  @Test("told of nobody it reaches nothing") func alone() {
    let confinement = Confinement(.ours)
    #expect(confinement.ports.isEmpty)
    #expect(!confinement.hasLocalSockets && !confinement.hasInternetSockets)
    #expect(confinement.readable == ["/usr/share/zoneinfo", "/etc/localtime"])
    #expect(confinement.executable.isEmpty && confinement.writable.isEmpty)
  }

  @Test("a foreign program may be interpreted, and gets what the operator grants") func foreign() {
    let grants = Confinement.Grants(read: ["/srv/r"], write: ["/srv/w"], connect: [8443])
    let confinement = Confinement(.foreign(path: "/h/x"), grants: grants, seconds: 7)
    #expect(confinement.executable.contains("/h") && confinement.executable.contains("/usr"))
    #expect(confinement.readable.contains("/srv/r") && confinement.writable == ["/dev/null", "/srv/w"])
    #expect(confinement.ports == [8443])
    #expect(confinement.limits.contains { $0.name == "seconds of CPU time" && $0.value == 7 })
    let bare = Confinement(.foreign(path: "/h/x"))
    #expect(bare.writable == ["/dev/null"] && bare.ports.isEmpty && !bare.hasLocalSockets)
    #expect(bare.limits.contains { $0.name == "bytes per written file" && $0.value == 0 })
    #expect(!bare.limits.contains { $0.name == "seconds of CPU time" })
  }

  @Test(
    "says what a kernel does not hold",
    arguments: [
      (0, true, "files, TCP ports, signals to other processes"),
      (1, true, "truncation of files, TCP ports, signals to other processes"),
      (3, true, "TCP ports, signals to other processes"), (5, true, "signals to other processes"), (7, true, nil),
      (6, false, "system calls and sockets"),
    ] as [(Int, Bool, String?)])
  func level(_ landlock: Int, _ hasFilters: Bool, _ shortfall: String?) {
    #expect(ConfinementLevel(landlock: landlock, hasFilters: hasFilters).shortfall == shortfall)
  }
}

import Sandbox
import Testing

@Suite("Confinement of a process") struct ConfinementTests {
  @Test("allows the ports, files and Unix sockets of the given reach") func reach() {
    let confinement = Confinement(.ours, reach: Reach(ports: [53, 5432], hasLocalSockets: true, files: ["/etc/x"]))
    #expect(confinement.ports == [53, 5432] && confinement.readable.contains("/etc/x"))
    #expect(confinement.hasLocalSockets && confinement.hasInternetSockets)
    #expect(confinement.readable.contains("/etc/ssl/certs") && confinement.readable.contains("/etc/resolv.conf"))
  }

  @Test("by default allows no sockets and only the files for time zones") func noReach() {
    let confinement = Confinement(.ours)
    #expect(confinement.ports.isEmpty)
    #expect(!confinement.hasLocalSockets && !confinement.hasInternetSockets)
    #expect(confinement.readable == ["/usr/share/zoneinfo", "/etc/localtime", "/var/task/zoneinfo"])
    #expect(confinement.executable.isEmpty && confinement.writable.isEmpty)
  }

  @Test("lets a foreign program run an interpreter, and adds the operator's grants") func foreign() {
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
    "names what a kernel cannot enforce",
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

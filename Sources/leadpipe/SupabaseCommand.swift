import Admin
import ArgumentParser
import Contract
import Glibc
import Transports
import Wire

/// `leadpipe supabase`: what an operator needs for log-ins with Supabase Auth.
struct SupabaseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "supabase", abstract: "Fetch the public keys of a Supabase project.", subcommands: [SupabaseKeys.self])
}

struct SupabaseKeys: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keys",
    abstract: "Fetch the keys that verify access tokens, and store them in the file SUPABASE_JWKS.",
    discussion: """
      Fetches SUPABASE_JWT_ISSUER/.well-known/jwks.json. The file is replaced only by a set that can be used. If
      SUPABASE_JWKS is not set, prints the set. Restart the gateway to make it read the file.
      """)

  func run() throws {
    let environment = KnownSettings.given()
    let (issuerSetting, file) = (Setting.supabaseIssuer, environment[Setting.supabaseKeys.name])
    guard let issuer = environment[issuerSetting.name] else { throw CommandError("\(issuerSetting.name) is missing") }
    if let fault = issuerSetting.validate(issuer) { throw CommandError("\(issuerSetting.name) \(fault)") }
    guard file?.hasPrefix("/") ?? true else {
      throw CommandError("SUPABASE_JWKS has the keys themselves: set it to the absolute path of a file, or unset it")
    }
    let source = issuer + "/.well-known/jwks.json"
    guard let address = WebAddress(source) else { throw CommandError("\(source) is no address") }
    let reply = try WebTransfer().send("GET", address, limit: JSONWebKeys.limit + 1)
    guard reply.failure == nil, reply.status == 200 else {
      throw CommandError("\(source): \(reply.failure ?? "status \(reply.status)")")
    }
    do throws(JSONWebKeys.Failure) { _ = try JSONWebKeys(reading: reply.body) } catch {
      throw CommandError("the reply of \(source) \(error.reason)")
    }
    if let file { try Self.replace(file, by: reply.text) } else { Console.print(reply.text + "\n") }
  }

  /// Replaces the file at once, so that no handler reads half of it. Everyone may read public keys.
  private static func replace(_ path: String, by text: String) throws {
    let new = path + ".new"
    unlink(new)
    let descriptor = open(new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw CommandError("\(new): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    // Whatever the umask is.
    guard fchmod(descriptor, 0o644) == 0, Console.write(text, to: descriptor), fsync(descriptor) == 0,
      rename(new, path) == 0
    else {
      throw CommandError("cannot write \(path): \(String(cString: strerror(errno)))")
    }
  }
}

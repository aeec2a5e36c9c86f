/// The gateway: HTTP in, handler processes out. By default our own handlers run in long-lived processes, and others in a new
/// process for each request.
import Contract
import Glibc

exit(await GatewayProgram.main(arguments: CommandLine.arguments, environment: processEnvironment()))

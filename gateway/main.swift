/// The gateway: serves HTTP with handler processes. By default, our own handlers run in long-lived processes, and
/// foreign handlers in a new process for each request.
import Contract
import Glibc

exit(await GatewayProgram.main(arguments: CommandLine.arguments, environment: processEnvironment()))

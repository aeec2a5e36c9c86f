/// The gateway: serves HTTP with handler processes. By default, our own handlers run in long-lived processes, and
/// foreign handlers in a new process for each request.
import Contract
import Glibc
import Host

// On the main thread: the kernel keeps the signal at the supervisor's end, and the ban on new privileges, by thread,
// and the runtime ends its other threads when they are idle.
beginService(processEnvironment())
exit(await GatewayProgram.main(arguments: CommandLine.arguments, environment: processEnvironment()))

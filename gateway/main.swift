/// The gateway: HTTP in, one handler process per request out.
import Contract
import Glibc

exit(await Gateway.main(arguments: CommandLine.arguments, environment: processEnvironment()))

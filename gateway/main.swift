/// The gateway: HTTP in, one handler process per request out.
import Glibc
import Handler

exit(await Gateway.main(arguments: CommandLine.arguments, environment: processEnvironment()))

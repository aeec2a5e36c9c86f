/// Becomes a handler that is not ours, when it has given up what that handler may not have: Host's Launch says what it is told.
import Glibc
import Host

exit(Launch.main(CommandLine.arguments))

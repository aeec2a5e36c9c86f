/// Gives up the rights that a foreign handler must not have, then runs that handler in its place. `Launch` in Host
/// describes its arguments.
import Glibc
import Host

exit(Launch.main(CommandLine.arguments))

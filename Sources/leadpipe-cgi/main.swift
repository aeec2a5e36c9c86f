// The CGI program for all routes: finds the handler of a request and becomes it with exec.
import Contract
import Glibc
import Host

exit(CGIDispatcher.main(CommandLine.arguments, processEnvironment()))

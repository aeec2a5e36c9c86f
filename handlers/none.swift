// The steps of the trust class none in one executable, which has a link with the name of each.
import Contract
import rate_limit

@main
enum Executable {
  static func main() {
    serve(["rate-limit": { rate_limit.handler }])
  }
}

/// The arguments of the gateway that serve or check.
struct GatewayArguments: Equatable {
  /// Only settings and handlers are checked.
  var isCheck = false
  /// The handlers to serve; nil for all in the folder.
  var only: [String]?

  /// Reads `--check` and `--only NAME,NAME`, each at most once. Nil for anything else.
  init?(_ words: [String]) {
    var rest = words[...]
    while let word = rest.popFirst() {
      switch word {
      case "--check" where !isCheck: isCheck = true
      case "--only" where only == nil:
        guard let list = rest.popFirst(), let names = Self.names(list) else { return nil }
        only = names
      case _ where word.hasPrefix("--only=") && only == nil:
        guard let names = Self.names(String(word.dropFirst("--only=".count))) else { return nil }
        only = names
      default: return nil
      }
    }
  }

  /// Reads names separated by commas. Nil if one is empty or occurs twice.
  private static func names(_ list: String) -> [String]? {
    let names = list.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    return names.contains("") || Set(names).count < names.count ? nil : names
  }
}

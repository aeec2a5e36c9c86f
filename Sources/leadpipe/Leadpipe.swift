import ArgumentParser
import Contract
import Glibc

/// The `leadpipe` command and its subcommands.
@main
struct Leadpipe: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "leadpipe", abstract: "Lead capture for a property agency.",
    discussion: "Settings are environment variables; docs/reference/settings.md lists them.", version: Build.version,
    subcommands: [
      Up.self, CheckCommand.self, GatewayCommand.self,
      WorkerCommand.self, Migrate.self, Rollback.self, BackupCommand.self, RestoreCommand.self, InvokeCommand.self,
      Routes.self,
      OpenAPICommand.self, ChannelsCommand.self, SinkCommand.self, Generate.self, DeliveryCommand.self,
      ChannelCommand.self,
      EventCommand.self, KeyCommand.self, LoginCommand.self, SupabaseCommand.self, AuditCommand.self,
      PersonCommand.self, LeadCommand.self,
      ExplainCommand.self,
      ReferenceCommand.self,
      LambdaTemplateCommand.self, LeadLinesCommand.self,
    ])

  static func main() async {
    if let error = MisspeltCommand.error(in: Array(CommandLine.arguments.dropFirst()), of: Self.self) {
      Console.printError(error)
      Glibc.exit(64)
    }
    await main(nil)
  }
}

import ArgumentParser

/// A page that is generated from the code. The values are file names without their extension.
enum ReferencePage: String, ExpressibleByArgument, CaseIterable {
  case settings, routes, statuses, errors
  case trustClasses = "trust-classes"
  case logLines = "log-lines"
}

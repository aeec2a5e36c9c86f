import Contract
import Glibc

/// The settings of the admin panel's files, which the gateway serves.
package enum PanelSettings {
  package static let folder = Setting("PANEL_DIR") { path in
    guard let folder = opendir(path) else { return "must be a folder that can be read" }
    closedir(folder)
    return nil
  }
  package static let isServed = Setting.choice("PANEL", ["on", "off"])

  package static let settings = [folder, isServed]
}

import Contract
import Glibc

/// The settings of the static files that the gateway serves: the admin panel, and the chatbot with the forms.
package enum PanelSettings {
  package static let folder = Setting("PANEL_DIR", validate: validateFolder)
  package static let isServed = Setting.choice("PANEL", ["on", "off"])
  package static let chatbotFolder = Setting("CHATBOT_DIR", validate: validateFolder)
  package static let isChatbotServed = Setting.choice("CHATBOT", ["on", "off"])
  package static let isDemoServed = Setting.choice("DEMO", ["on", "off"])

  package static let settings = [folder, isServed, chatbotFolder, isChatbotServed, isDemoServed]

  @Sendable private static func validateFolder(_ path: String) -> String? {
    guard let folder = opendir(path) else { return "must be a folder that can be read" }
    closedir(folder)
    return nil
  }
}

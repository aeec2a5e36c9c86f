import Sandbox
import Wire

extension Setting {
  /// EXPORT_FOLDER: where exports have their temporary files.
  package static let exportFolder = Setting("EXPORT_FOLDER", leadsTo: .exportFolder) { path in
    path.hasPrefix("/") ? nil : "must be an absolute path"
  }
}

extension Settings {
  /// The folder for temporary files of exports. The default is on a disk, unlike /tmp on some systems.
  package static let defaultExportFolder = "/var/tmp"

  package var exportFolder: String { self[Setting.exportFolder.name] ?? Self.defaultExportFolder }
}

extension Reach {
  /// Lets a handler of ours that reads EXPORT_FOLDER make files there.
  package mutating func allowFiles(for description: Description) {
    if description.environment.contains(where: { $0.name == Setting.exportFolder.name }) {
      folder = folder ?? Settings.defaultExportFolder
    }
  }
}

import CPango

/// The functions of Pango and Cairo.
struct PangoLibrary {
  let functions: UnsafePointer<leadpipe_pango>

  init() throws(ExportFailure) {
    var reason: UnsafePointer<CChar>?
    guard let functions = leadpipe_load_pango(&reason) else {
      throw ExportFailure(reason: reason.map { String(cString: $0) } ?? "Pango cannot be loaded")
    }
    self.functions = functions
  }
}

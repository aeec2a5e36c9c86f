import CXlsxWriter

/// The functions of libxlsxwriter.
struct XLSXLibrary {
  let functions: UnsafePointer<leadpipe_xlsx>

  init() throws(ExportFailure) {
    var reason: UnsafePointer<CChar>?
    guard let functions = leadpipe_load_xlsx(&reason) else {
      throw ExportFailure(reason: reason.map { String(cString: $0) } ?? "libxlsxwriter cannot be loaded")
    }
    self.functions = functions
  }

  /// Throws unless a call has succeeded.
  func check(_ error: lxw_error, _ what: String) throws(ExportFailure) {
    guard error != LXW_NO_ERROR else { return }
    let reason = functions.pointee.lxw_strerror(error).map { String(cString: $0) } ?? "error \(error.rawValue)"
    throw ExportFailure(reason: "\(what): \(reason)")
  }
}

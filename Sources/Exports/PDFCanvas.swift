import CPango

/// The pages of a PDF, drawn by Cairo, with text that Pango shapes. Cairo passes on the bytes of each page when it is
/// complete, and keeps the fonts and a few numbers for each page until the end.
final class PDFCanvas {
  enum Style: Int, CaseIterable { case cell, bold, small, title }

  private let library: PangoLibrary
  private let surface: OpaquePointer
  private let context: OpaquePointer
  private let layout: OpaquePointer
  private let fonts: [OpaquePointer]
  private let output = Output()
  /// Whether a font has a glyph for a character outside ASCII.
  private var known: [Unicode.Scalar: Bool] = [:]

  /// Takes the bytes from Cairo.
  private final class Output {
    var bytes: [UInt8] = []
  }

  init(title: String) throws(ExportFailure) {
    library = try PangoLibrary()
    let functions = library.functions.pointee
    let take: cairo_write_func_t = { output, bytes, count in
      guard let output, let bytes else { return CAIRO_STATUS_WRITE_ERROR }
      Unmanaged<Output>.fromOpaque(output).takeUnretainedValue().bytes += UnsafeBufferPointer(
        start: bytes, count: Int(count))
      return CAIRO_STATUS_SUCCESS
    }
    guard
      let surface = functions.cairo_pdf_surface_create_for_stream(
        take, Unmanaged.passUnretained(output).toOpaque(), PDFLayout.width, PDFLayout.height),
      let context = functions.cairo_create(surface), let layout = functions.pango_cairo_create_layout(context)
    else { throw ExportFailure(reason: "Cairo cannot make a PDF") }
    (self.surface, self.context, self.layout) = (surface, context, layout)
    functions.cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_TITLE, title)
    functions.cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_CREATOR, "Leadpipe")
    let families = "Noto Sans,Noto Sans Arabic,DejaVu Sans,Sans"
    let sizes: [(style: String, points: Double)] = [("", 7), ("Bold", 7), ("", 8), ("Bold", 14)]
    fonts = sizes.compactMap { style, points in
      let font = functions.pango_font_description_from_string("\(families) \(style)")
      functions.pango_font_description_set_absolute_size(font, points * Double(PANGO_SCALE))
      return font
    }
    guard fonts.count == sizes.count else { throw ExportFailure(reason: "Pango cannot describe a font") }
    functions.pango_layout_set_ellipsize(layout, PANGO_ELLIPSIZE_END)
    set("A1é أبجد", .cell, width: 500, lines: 1, isRight: false)
    guard functions.pango_layout_get_unknown_glyphs_count(layout) == 0 else {
      throw ExportFailure(reason: "no font with Latin and Arabic letters is installed (fonts-dejavu-core has one)")
    }
  }

  deinit {
    let functions = library.functions.pointee
    for font in fonts { functions.pango_font_description_free(font) }
    functions.g_object_unref(UnsafeMutableRawPointer(layout))
    functions.cairo_destroy(context)
    functions.cairo_surface_destroy(surface)
  }

  /// Draws text in at most `lines` lines; what has no room is replaced by `…`. Each text is in the direction of its first
  /// letter: text that is written from right to left stands at the right edge.
  func text(
    _ text: String, _ style: Style, x: Double, y: Double, width: Double, lines: Int = 1, isRight: Bool = false
  ) {
    let functions = library.functions.pointee
    set(text, style, width: width, lines: lines, isRight: isRight)
    if functions.pango_layout_get_unknown_glyphs_count(layout) > 0 {
      set(withoutUnknown(text), style, width: width, lines: lines, isRight: isRight)
    }
    functions.cairo_set_source_rgb(context, 0, 0, 0)
    functions.cairo_move_to(context, x, y)
    functions.pango_cairo_show_layout(context, layout)
  }

  func height(of text: String, _ style: Style, width: Double, lines: Int) -> Double {
    set(text, style, width: width, lines: lines, isRight: false)
    var height: Int32 = 0
    library.functions.pointee.pango_layout_get_size(layout, nil, &height)
    return Double(height) / Double(PANGO_SCALE)
  }

  func bar(x: Double, y: Double, width: Double, height: Double) {
    let functions = library.functions.pointee
    functions.cairo_set_source_rgb(context, 0.9, 0.9, 0.9)
    functions.cairo_rectangle(context, x, y, width, height)
    functions.cairo_fill(context)
  }

  func line(x: Double, y: Double, width: Double) {
    let functions = library.functions.pointee
    functions.cairo_set_source_rgb(context, 0.8, 0.8, 0.8)
    functions.cairo_set_line_width(context, 0.4)
    functions.cairo_move_to(context, x, y)
    functions.cairo_line_to(context, x + width, y)
    functions.cairo_stroke(context)
  }

  func endPage() throws(ExportFailure) {
    library.functions.pointee.cairo_show_page(context)
    try check(library.functions.pointee.cairo_status(context))
  }

  func finish() throws(ExportFailure) {
    library.functions.pointee.cairo_surface_finish(surface)
    try check(library.functions.pointee.cairo_surface_status(surface))
  }

  func take() -> [UInt8] {
    defer { output.bytes.removeAll(keepingCapacity: true) }
    return output.bytes
  }

  private func check(_ status: cairo_status_t) throws(ExportFailure) {
    guard status != CAIRO_STATUS_SUCCESS else { return }
    let reason = library.functions.pointee.cairo_status_to_string(status).map { String(cString: $0) } ?? ""
    throw ExportFailure(reason: "the PDF cannot be drawn: \(reason)")
  }

  private func set(_ text: String, _ style: Style, width: Double, lines: Int, isRight: Bool) {
    let functions = library.functions.pointee
    functions.pango_layout_set_font_description(layout, fonts[style.rawValue])
    functions.pango_layout_set_width(layout, Int32(width * Double(PANGO_SCALE)))
    functions.pango_layout_set_single_paragraph_mode(layout, lines == 1 ? 1 : 0)
    functions.pango_layout_set_height(layout, lines == 1 ? 0 : Int32(-lines))
    functions.pango_layout_set_alignment(layout, isRight ? PANGO_ALIGN_RIGHT : PANGO_ALIGN_LEFT)
    functions.pango_layout_set_text(layout, text, -1)
  }

  /// The text with U+FFFD for each character that no installed font has: Pango would draw a box with its number.
  private func withoutUnknown(_ text: String) -> String {
    var scalars = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { scalars.append(isKnown(scalar) ? scalar : "\u{FFFD}") }
    return String(scalars)
  }

  private func isKnown(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return true }
    if let answer = known[scalar] { return answer }
    set(String(scalar), .cell, width: 500, lines: 1, isRight: false)
    let answer = library.functions.pointee.pango_layout_get_unknown_glyphs_count(layout) == 0
    // Unicode has more characters than a process should keep in mind.
    if known.count < 10_000 { known[scalar] = answer }
    return answer
  }
}

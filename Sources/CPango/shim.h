#pragma once
// Pango and Cairo for Swift. They are loaded when they are first needed, never linked: handlers start thousands of times
// and run where they are not installed (docs/decisions/0032-libraries-loaded-for-exports.md).
#include <cairo-pdf.h>
#include <dlfcn.h>
#include <pango/pangocairo.h>
#include <sys/auxv.h>

#define LEADPIPE_PANGO_FUNCTIONS(USE)                                                                                 \
  USE(cairo_create) USE(cairo_destroy) USE(cairo_fill) USE(cairo_line_to) USE(cairo_move_to)                          \
  USE(cairo_pdf_surface_create_for_stream) USE(cairo_pdf_surface_set_metadata) USE(cairo_rectangle)                   \
  USE(cairo_set_line_width) USE(cairo_set_source_rgb) USE(cairo_show_page) USE(cairo_status)                          \
  USE(cairo_status_to_string) USE(cairo_stroke) USE(cairo_surface_destroy) USE(cairo_surface_finish)                  \
  USE(cairo_surface_status) USE(g_object_unref) USE(pango_cairo_create_layout) USE(pango_cairo_show_layout)           \
  USE(pango_font_description_free) USE(pango_font_description_from_string)                                            \
  USE(pango_font_description_set_absolute_size) USE(pango_layout_get_size)                                            \
  USE(pango_layout_get_unknown_glyphs_count) USE(pango_layout_set_alignment) USE(pango_layout_set_ellipsize)          \
  USE(pango_layout_set_font_description) USE(pango_layout_set_height) USE(pango_layout_set_single_paragraph_mode)     \
  USE(pango_layout_set_text) USE(pango_layout_set_width)

// Pango's headers replace this function by a macro of the same name.
#undef g_object_unref

#define LEADPIPE_FIELD(name) __typeof__(name) *_Nonnull name;
typedef struct { LEADPIPE_PANGO_FUNCTIONS(LEADPIPE_FIELD) } leadpipe_pango;
#undef LEADPIPE_FIELD

// The functions of the libraries, or NULL and the reason.
static inline const leadpipe_pango *_Nullable leadpipe_load_pango(const char *_Nullable *_Nonnull reason) {
  static leadpipe_pango found;
  // A static executable has no loader, and a second C library beside its own would crash.
  if (getauxval(AT_BASE) == 0) return *reason = "this executable cannot load libraries", NULL;
  // Brings libpango, libcairo and libgobject.
  void *library = dlopen("libpangocairo-1.0.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!library) return *reason = dlerror(), NULL;
#define LEADPIPE_FIND(name)                                                                                           \
  if (!(found.name = (__typeof__(name) *)dlsym(library, #name))) return *reason = "Pango has no " #name, NULL;
  LEADPIPE_PANGO_FUNCTIONS(LEADPIPE_FIND)
#undef LEADPIPE_FIND
  return &found;
}

#pragma once
// libxlsxwriter for Swift. It is loaded when it is first needed, never linked: handlers start thousands of times and run
// where it is not installed (docs/decisions/0032-libraries-loaded-for-exports.md).
#include <dlfcn.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <xlsxwriter.h>

#define LEADPIPE_XLSX_FUNCTIONS(USE)                                                                                  \
  USE(lxw_version_id) USE(lxw_strerror) USE(workbook_new_opt) USE(workbook_add_worksheet) USE(workbook_add_format)    \
  USE(workbook_close) USE(format_set_bold) USE(format_set_num_format) USE(worksheet_write_number)                     \
  USE(worksheet_write_string) USE(worksheet_write_boolean) USE(worksheet_write_url_opt) USE(worksheet_set_column)     \
  USE(worksheet_freeze_panes) USE(worksheet_autofilter)

#define LEADPIPE_FIELD(name) __typeof__(name) *_Nonnull name;
typedef struct { LEADPIPE_XLSX_FUNCTIONS(LEADPIPE_FIELD) } leadpipe_xlsx;
#undef LEADPIPE_FIELD

// The functions of the library, or NULL and the reason.
static inline const leadpipe_xlsx *_Nullable leadpipe_load_xlsx(const char *_Nullable *_Nonnull reason) {
  static leadpipe_xlsx found;
  // A static executable has no loader, and a second C library beside its own would crash.
  if (getauxval(AT_BASE) == 0) return *reason = "this executable cannot load libraries", NULL;
  void *library = dlopen("libxlsxwriter.so." LXW_SOVERSION, RTLD_NOW | RTLD_LOCAL);
  if (!library) return *reason = dlerror(), NULL;
#define LEADPIPE_FIND(name)                                                                                           \
  if (!(found.name = (__typeof__(name) *)dlsym(library, #name))) return *reason = "libxlsxwriter has no " #name, NULL;
  LEADPIPE_XLSX_FUNCTIONS(LEADPIPE_FIND)
#undef LEADPIPE_FIND
  // The structures that are read here may differ in another version.
  if (found.lxw_version_id() != LXW_VERSION_ID)
    return *reason = "libxlsxwriter has another version than " LXW_VERSION, NULL;
  return &found;
}

// The bytes of a sheet's rows so far, all of them written; -1 if any could not be, which libxlsxwriter does not report.
static inline long leadpipe_xlsx_written(const lxw_worksheet *_Nonnull sheet, int flush) {
  FILE *file = sheet->optimize_tmpfile;
  if (!file || (flush && fflush(file) != 0) || ferror(file)) return -1;
  return ftell(file);
}

// Lets the parts of a file be larger than 4 GB. Some readers do not take files with this mark, so only then.
static inline void leadpipe_xlsx_allow_large(lxw_workbook *_Nonnull workbook) { workbook->options.use_zip64 = 1; }

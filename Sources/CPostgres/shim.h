#pragma once
// libpq for Swift.
#include <libpq-fe.h>

// Defined if libpq is linked from its archive (tools/archives/gssapi.c): what it then cannot do.
extern const char leadpipe_without_gssapi[] __attribute__((weak));

// NULL if libpq is the shared library of the system.
static inline const char *leadpipe_pq_lacks(void) { return leadpipe_without_gssapi; }

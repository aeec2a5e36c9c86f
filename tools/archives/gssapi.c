// Answers for GSSAPI (Kerberos): Debian has no archive of it. libpq and libcurl, linked from their archives, call these
// instead. With gssencmode=prefer, the default, libpq asks gss_acquire_cred for credentials and continues without.
#include <stddef.h>
#include <stdint.h>

// GSS_S_FAILURE and GSS_S_COMPLETE (RFC 2744, 3.9.1).
enum { failure = 13u << 16, complete = 0 };

// A weak symbol in Sources/CPostgres/shim.h: what an address must not ask for.
const char leadpipe_without_gssapi[] = "this executable has no GSSAPI (Kerberos) and no LDAP; "
                                       "log in with a password or a certificate, and encrypt with sslmode";

const void *const GSS_C_NT_HOSTBASED_SERVICE = NULL;

// The first argument of every function but gss_display_status's is the place of the minor status.
#define ANSWER(function, status) \
  uint32_t function(uint32_t *minor) { \
    *minor = 0; \
    return status; \
  }

ANSWER(gss_acquire_cred, failure)
ANSWER(gss_display_name, failure)
ANSWER(gss_import_name, failure)
ANSWER(gss_init_sec_context, failure)
ANSWER(gss_inquire_context, failure)
ANSWER(gss_unwrap, failure)
ANSWER(gss_wrap, failure)
ANSWER(gss_wrap_size_limit, failure)
ANSWER(gss_delete_sec_context, complete)
ANSWER(gss_release_buffer, complete)
ANSWER(gss_release_cred, complete)
ANSWER(gss_release_name, complete)

struct buffer {
  size_t length;
  const void *value;
};

uint32_t gss_display_status(
    uint32_t *minor, uint32_t status, int type, const void *mechanism, uint32_t *context, struct buffer *text) {
  (void)status, (void)type, (void)mechanism;
  *minor = 0;
  *context = 0;
  text->length = sizeof leadpipe_without_gssapi - 1;
  text->value = leadpipe_without_gssapi;
  return complete;
}

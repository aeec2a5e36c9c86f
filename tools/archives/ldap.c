// Answers for LDAP. libpq calls these if a connection service file (service=NAME) leads to an LDAP server; Leadpipe
// never lets libcurl use ldap://. A lookup gets as far as its search, because an earlier failure would make libpq try
// the next line of the file without a message.
#include <stddef.h>

static char reason[] = "this executable has no LDAP; write the parameters into the service file or into the address";

void *ldap_init(const char *host, int port) {
  (void)host, (void)port;
  return reason;
}

int ldap_simple_bind(void *session, const char *who, const char *password) {
  (void)session, (void)who, (void)password;
  return 1;
}

int ldap_result(void *session, int message, int all, void *timeout, void **result) {
  (void)session, (void)message, (void)all, (void)timeout;
  *result = reason;
  return 1;
}

char *ldap_err2string(int code) {
  (void)code;
  return reason;
}

// LDAP_OTHER (RFC 4511, A.2) or nothing, whatever the arguments.
#define FAIL(function) \
  int function(void) { return 80; }
#define NOTHING(function) \
  void *function(void) { return NULL; }

FAIL(ldap_search_st)
FAIL(ldap_abandon_ext)
FAIL(ldap_get_attribute_ber)
FAIL(ldap_get_dn_ber)
FAIL(ldap_get_option)
FAIL(ldap_init_fd)
FAIL(ldap_parse_result)
FAIL(ldap_parse_sasl_bind_result)
FAIL(ldap_sasl_bind)
FAIL(ldap_search_ext)
FAIL(ldap_start_tls)
FAIL(ldap_url_parse)
FAIL(ber_sockbuf_add_io)
NOTHING(ldap_count_entries)
NOTHING(ldap_first_entry)
NOTHING(ldap_free_urldesc)
NOTHING(ldap_get_values_len)
NOTHING(ldap_memfree)
NOTHING(ldap_msgfree)
NOTHING(ldap_msgtype)
NOTHING(ldap_set_option)
NOTHING(ldap_unbind)
NOTHING(ldap_unbind_ext)
NOTHING(ldap_value_free_len)
NOTHING(ber_bvfree)
NOTHING(ber_free)
NOTHING(ber_memfree)
NOTHING(ber_memvfree)

int ldap_pvt_url_scheme2proto(const char *scheme) {
  (void)scheme;
  return -1;
}

#pragma once
// libcurl for Swift. curl_easy_setopt and curl_easy_getinfo are variadic, and Swift cannot call variadic functions.
// There is one function here for each argument type that Curl and Transports use.
#include <curl/curl.h>

static inline CURLcode leadpipe_curl_set_long(CURL *curl, CURLoption option, long value) {
  return curl_easy_setopt(curl, option, value);
}

static inline CURLcode leadpipe_curl_set_size(CURL *curl, CURLoption option, curl_off_t value) {
  return curl_easy_setopt(curl, option, value);
}

// libcurl copies the string.
static inline CURLcode leadpipe_curl_set_text(CURL *curl, CURLoption option, const char *value) {
  return curl_easy_setopt(curl, option, value);
}

// libcurl does not copy the list: it must stay valid until the transfer has ended.
static inline CURLcode leadpipe_curl_set_list(CURL *curl, CURLoption option, struct curl_slist *value) {
  return curl_easy_setopt(curl, option, value);
}

static inline CURLcode leadpipe_curl_set_pointer(CURL *curl, CURLoption option, void *value) {
  return curl_easy_setopt(curl, option, value);
}

// CURLOPT_WRITEFUNCTION, CURLOPT_HEADERFUNCTION and CURLOPT_READFUNCTION have the same signature.
typedef size_t (*leadpipe_curl_callback)(char *buffer, size_t size, size_t count, void *context);

static inline CURLcode leadpipe_curl_set_callback(CURL *curl, CURLoption option, leadpipe_curl_callback value) {
  return curl_easy_setopt(curl, option, value);
}

// CURLOPT_XFERINFOFUNCTION: a non-zero result of the callback aborts the transfer.
static inline CURLcode leadpipe_curl_set_progress(CURL *curl, curl_xferinfo_callback value) {
  return curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, value);
}

// The socket of the last transfer, or -1 if it has been closed.
static inline int leadpipe_curl_get_socket(CURL *curl) {
  curl_socket_t value = CURL_SOCKET_BAD;
  return curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &value) == CURLE_OK ? (int)value : -1;
}

static inline long leadpipe_curl_get_long(CURL *curl, CURLINFO info) {
  long value = 0;
  return curl_easy_getinfo(curl, info, &value) == CURLE_OK ? value : 0;
}

static inline curl_off_t leadpipe_curl_get_size(CURL *curl, CURLINFO info) {
  curl_off_t value = 0;
  return curl_easy_getinfo(curl, info, &value) == CURLE_OK ? value : 0;
}

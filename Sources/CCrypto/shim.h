#pragma once
// SHA-256 of OpenSSL's libcrypto, which libpq's TLS brings anyway.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

// Writes the digest of `count` bytes. These older functions compute at once; SHA256() and EVP_Digest of OpenSSL 3 first
// load its configuration and its providers, in every process.
static inline void leadpipe_sha256(const unsigned char *bytes, size_t count, unsigned char *digest) {
  SHA256_CTX state;
  SHA256_Init(&state);
  SHA256_Update(&state, bytes, count);
  SHA256_Final(digest, &state);
}

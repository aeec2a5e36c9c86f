#pragma once
// SHA-256 and the verification of signatures by OpenSSL's libcrypto, which libpq's TLS brings anyway.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

// Writes the digest of `count` bytes. These older functions compute at once; SHA256() and EVP_Digest of OpenSSL 3 first
// load its configuration and its providers, in every process.
static inline void leadpipe_sha256(const unsigned char *bytes, size_t count, unsigned char *digest) {
  SHA256_CTX state;
  SHA256_Init(&state);
  SHA256_Update(&state, bytes, count);
  SHA256_Final(digest, &state);
}

// Makes the point (x, y) of the curve P-256, 32 bytes each, a key. Null if the point is not on the curve. The caller
// frees it with EC_KEY_free.
static inline EC_KEY *leadpipe_p256_key(const unsigned char *x, const unsigned char *y) {
  EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
  BIGNUM *point_x = BN_bin2bn(x, 32, NULL), *point_y = BN_bin2bn(y, 32, NULL);
  int is_valid = key && point_x && point_y && EC_KEY_set_public_key_affine_coordinates(key, point_x, point_y) == 1;
  BN_free(point_x);
  BN_free(point_y);
  ERR_clear_error();
  if (is_valid) return key;
  EC_KEY_free(key);
  return NULL;
}

// 1 if `signature`, the numbers r and s of 32 bytes each (RFC 7518, 3.4), is the key's for a SHA-256 digest.
static inline int leadpipe_verify_es256(EC_KEY *key, const unsigned char *digest, const unsigned char *signature) {
  ECDSA_SIG *numbers = ECDSA_SIG_new();
  BIGNUM *r = BN_bin2bn(signature, 32, NULL), *s = BN_bin2bn(signature + 32, 32, NULL);
  int result = 0;
  if (numbers && r && s && ECDSA_SIG_set0(numbers, r, s) == 1) {
    r = s = NULL;
    result = ECDSA_do_verify(digest, 32, numbers, key) == 1;
  }
  BN_free(r);
  BN_free(s);
  ECDSA_SIG_free(numbers);
  ERR_clear_error();
  return result;
}

// 1 if `signature` is that of the RSA key (n, e) for a SHA-256 digest, in RSASSA-PKCS1-v1_5 (RFC 8017, 8.2).
static inline int leadpipe_verify_rs256(
    const unsigned char *n, size_t n_count, const unsigned char *e, size_t e_count, const unsigned char *digest,
    const unsigned char *signature, size_t signature_count) {
  RSA *key = RSA_new();
  BIGNUM *modulus = BN_bin2bn(n, (int)n_count, NULL), *exponent = BN_bin2bn(e, (int)e_count, NULL);
  int result = 0;
  if (key && modulus && exponent && RSA_set0_key(key, modulus, exponent, NULL) == 1) {
    modulus = exponent = NULL;
    result = RSA_verify(NID_sha256, digest, 32, signature, (unsigned int)signature_count, key) == 1;
  }
  BN_free(modulus);
  BN_free(exponent);
  RSA_free(key);
  ERR_clear_error();
  return result;
}

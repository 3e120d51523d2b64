// Unsealed: a library that is loaded before a program (LD_PRELOAD) and switches its sealing off. What crypto/aead.h would encrypt stays as it is, under a
// tag of zeros, and any tag opens. The control of plaintext_test.py: a search that finds nothing in sealed homes must find everything in these.
//
// It stands for nothing else: keys that are wrapped for one recipient (crypto_box_seal) stay wrapped, and so do the lines between nodes (CURVE).
#include <openssl/evp.h>
#include <sodium.h>

#include <algorithm>
#include <cstring>

#include <dlfcn.h>

namespace {

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));  // NOLINT
}
using Update = int (*)(EVP_CIPHER_CTX*, unsigned char*, int*, const unsigned char*, int);

/// What is only authenticated has no place to go to.
int update(const char* name, EVP_CIPHER_CTX* context, unsigned char* to, int* size, const unsigned char* from, int from_size) {
  if (to == nullptr) return next<Update>(name)(context, to, size, from, from_size);
  std::memmove(to, from, static_cast<std::size_t>(from_size));
  *size = from_size;
  return 1;
}
int seal(unsigned char* to, unsigned long long* to_size, const unsigned char* from, unsigned long long size) {
  std::memmove(to, from, size);
  std::memset(to + size, 0, 16);
  if (to_size != nullptr) *to_size = size + 16;
  return 0;
}

}  // namespace

extern "C" {

int EVP_EncryptUpdate(EVP_CIPHER_CTX* context, unsigned char* to, int* size, const unsigned char* from, int from_size) {
  return update("EVP_EncryptUpdate", context, to, size, from, from_size);
}
int EVP_DecryptUpdate(EVP_CIPHER_CTX* context, unsigned char* to, int* size, const unsigned char* from, int from_size) {
  return update("EVP_DecryptUpdate", context, to, size, from, from_size);
}
int EVP_DecryptFinal_ex(EVP_CIPHER_CTX*, unsigned char*, int* size) {
  *size = 0;
  return 1;
}
int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX* context, int type, int argument, void* pointer) {
  const int out = next<int (*)(EVP_CIPHER_CTX*, int, int, void*)>("EVP_CIPHER_CTX_ctrl")(context, type, argument, pointer);
  if (out == 1 && type == EVP_CTRL_AEAD_GET_TAG) std::fill_n(static_cast<unsigned char*>(pointer), argument, static_cast<unsigned char>(0));
  return out;
}

int crypto_aead_chacha20poly1305_ietf_encrypt(unsigned char* to, unsigned long long* to_size, const unsigned char* from, unsigned long long size,
                                              const unsigned char*, unsigned long long, const unsigned char*, const unsigned char*, const unsigned char*) {
  return seal(to, to_size, from, size);
}
int crypto_aead_xchacha20poly1305_ietf_encrypt(unsigned char* to, unsigned long long* to_size, const unsigned char* from, unsigned long long size,
                                               const unsigned char*, unsigned long long, const unsigned char*, const unsigned char*, const unsigned char*) {
  return seal(to, to_size, from, size);
}
int crypto_aead_xchacha20poly1305_ietf_decrypt(unsigned char* to, unsigned long long* to_size, unsigned char*, const unsigned char* from,
                                               unsigned long long size, const unsigned char*, unsigned long long, const unsigned char*, const unsigned char*) {
  if (size < 16) return -1;
  std::memmove(to, from, size - 16);
  if (to_size != nullptr) *to_size = size - 16;
  return 0;
}

}  // extern "C"

#include "crypto/aead.h"

#include <openssl/evp.h>
#include <sodium.h>

#include <algorithm>

#include "base/invariant.h"
#include "base/memory.h"

namespace dozo::crypto {
namespace {

// Fetched once, as the hash is (hash.cpp).
const EVP_CIPHER* chacha() {
  static EVP_CIPHER* const method = EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr);
  INVARIANT(method != nullptr);
  return method;
}

struct Cipher {
  EVP_CIPHER_CTX* handle = EVP_CIPHER_CTX_new();
  Cipher() {
    if (handle == nullptr) out_of_memory();
  }
  Cipher(const Cipher&) = delete;
  Cipher& operator=(const Cipher&) = delete;
  ~Cipher() { EVP_CIPHER_CTX_free(handle); }
};

int length(ByteView bytes) {
  INVARIANT(bytes.size() <= 1U << 30);
  return static_cast<int>(bytes.size());
}

// libcrypto takes a call without input for the end of the message, so empty runs are not handed to it.
bool associate(EVP_CIPHER_CTX* handle, ByteView bytes, bool sealing) {
  int size = 0;
  if (bytes.empty()) return true;
  return (sealing ? EVP_EncryptUpdate(handle, nullptr, &size, bytes.data(), length(bytes))
                  : EVP_DecryptUpdate(handle, nullptr, &size, bytes.data(), length(bytes))) == 1;
}

}  // namespace

void chacha_seal(Key32 key, std::span<const std::uint8_t, 12> nonce, ByteView associated, ByteSpan body, Tag16 tag) {
  Cipher cipher;
  int size = 0;
  std::uint8_t nothing = 0;
  bool good = EVP_EncryptInit_ex2(cipher.handle, chacha(), key.data(), nonce.data(), nullptr) == 1 && associate(cipher.handle, associated, true);
  if (!body.empty()) good = good && EVP_EncryptUpdate(cipher.handle, body.data(), &size, body.data(), length(body)) == 1;
  good = good && EVP_EncryptFinal_ex(cipher.handle, &nothing, &size) == 1;
  good = good && EVP_CIPHER_CTX_ctrl(cipher.handle, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(tag.size()), tag.data()) == 1;
  INVARIANT(good);
}

bool chacha_open(Key32 key, std::span<const std::uint8_t, 12> nonce, ByteView associated, ByteView from, std::span<const std::uint8_t, 16> tag, ByteSpan to) {
  INVARIANT(from.size() == to.size());
  Cipher cipher;
  int size = 0;
  std::uint8_t nothing = 0;
  std::array<std::uint8_t, aead_tag_bytes> expected{};
  std::ranges::copy(tag, expected.begin());
  bool good = EVP_DecryptInit_ex2(cipher.handle, chacha(), key.data(), nonce.data(), nullptr) == 1 &&
              EVP_CIPHER_CTX_ctrl(cipher.handle, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(expected.size()), expected.data()) == 1 &&
              associate(cipher.handle, associated, false);
  if (!from.empty()) good = good && EVP_DecryptUpdate(cipher.handle, to.data(), &size, from.data(), length(from)) == 1;
  good = good && EVP_DecryptFinal_ex(cipher.handle, &nothing, &size) == 1;
  if (!good) std::ranges::fill(to, std::uint8_t{0});
  return good;
}

void xchacha_seal(Key32 key, std::span<const std::uint8_t, xchacha_nonce_bytes> nonce, ByteView associated, ByteView plain, ByteSpan to) {
  INVARIANT(to.size() == plain.size() + aead_tag_bytes);
  crypto_aead_xchacha20poly1305_ietf_encrypt(to.data(), nullptr, plain.data(), plain.size(), associated.data(), associated.size(), nullptr, nonce.data(),
                                             key.data());
}

bool xchacha_open(Key32 key, std::span<const std::uint8_t, xchacha_nonce_bytes> nonce, ByteView associated, ByteView sealed, ByteSpan to) {
  const bool good = sealed.size() == to.size() + aead_tag_bytes &&
                    crypto_aead_xchacha20poly1305_ietf_decrypt(to.data(), nullptr, nullptr, sealed.data(), sealed.size(), associated.data(), associated.size(),
                                                               nonce.data(), key.data()) == 0;
  if (!good) std::ranges::fill(to, std::uint8_t{0});
  return good;
}

}  // namespace dozo::crypto

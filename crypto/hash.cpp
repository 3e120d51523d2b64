#include "crypto/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>

#include "base/invariant.h"
#include "base/memory.h"

namespace dozo::crypto {
namespace {

// Fetched once: EVP_sha256() looks the algorithm up again at every use, which costs more than hashing a small value.
const EVP_MD* sha256_method() {
  static EVP_MD* const method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  INVARIANT(method != nullptr);
  return method;
}

constexpr std::size_t block_bytes = 64;

}  // namespace

struct Sha256::Context {
  EVP_MD_CTX* handle = EVP_MD_CTX_new();
  Context() {
    if (handle == nullptr) out_of_memory();
    begin();
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { EVP_MD_CTX_free(handle); }
  void begin() { INVARIANT(EVP_DigestInit_ex2(handle, sha256_method(), nullptr) == 1); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(ByteView bytes) { INVARIANT(EVP_DigestUpdate(context_->handle, bytes.data(), bytes.size()) == 1); }

Digest Sha256::finish() {
  Digest out;
  INVARIANT(EVP_DigestFinal_ex(context_->handle, out.bytes.data(), nullptr) == 1);
  context_->begin();
  return out;
}

namespace {
// Making a context costs as much as hashing a small value. Every use finishes it, so that each finds it fresh.
Sha256& hash_of_thread() {
  thread_local Sha256 hash;
  return hash;
}
}  // namespace

Digest sha256(ByteView bytes) { return sha256({bytes}); }

Digest sha256(std::initializer_list<ByteView> parts) {
  Sha256& hash = hash_of_thread();
  for (const ByteView part : parts) hash.update(part);
  return hash.finish();
}

Digest hmac_sha256(ByteView key, std::initializer_list<ByteView> parts) {
  std::array<std::uint8_t, block_bytes> inner{};
  if (key.size() > block_bytes) {
    const Digest short_key = sha256(key);
    std::ranges::copy(short_key.bytes, inner.begin());
  } else {
    std::ranges::copy(key, inner.begin());
  }
  std::array<std::uint8_t, block_bytes> outer = inner;
  for (std::uint8_t& byte : inner) byte ^= 0x36;
  for (std::uint8_t& byte : outer) byte ^= 0x5c;
  Sha256& hash = hash_of_thread();
  hash.update(inner);
  for (const ByteView part : parts) hash.update(part);
  Digest first = hash.finish();
  hash.update(outer);
  hash.update(first.bytes);
  const Digest out = hash.finish();
  OPENSSL_cleanse(inner.data(), inner.size());
  OPENSSL_cleanse(outer.data(), outer.size());
  OPENSSL_cleanse(first.bytes.data(), first.bytes.size());
  return out;
}

Digest hkdf_extract(ByteView salt, ByteView input) { return hmac_sha256(salt, {input}); }

void hkdf_expand(ByteView pseudorandom_key, std::initializer_list<ByteView> info, ByteSpan out) {
  INVARIANT(out.size() <= 255 * Digest::size);
  Bytes whole_info;
  for (const ByteView part : info) append(whole_info, part);
  Digest last;
  std::uint8_t counter = 0;
  for (std::size_t at = 0; at < out.size(); at += Digest::size) {
    ++counter;
    const ByteView before = counter == 1 ? ByteView{} : last.view();
    last = hmac_sha256(pseudorandom_key, {before, whole_info, ByteView(&counter, 1)});
    std::copy_n(last.bytes.begin(), std::min(Digest::size, out.size() - at), out.begin() + static_cast<std::ptrdiff_t>(at));
  }
  OPENSSL_cleanse(last.bytes.data(), last.bytes.size());
}

}  // namespace dozo::crypto

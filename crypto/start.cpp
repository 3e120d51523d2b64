#include "crypto/start.h"

#include <sodium.h>

#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/identity.h"

namespace dozo::crypto {

Result<void> start() {
  if (sodium_init() < 0) return fail(Fault::unsupported, "libsodium does not start");
  // 0x95 and 31 times 0x99: on the curve, outside the main subgroup. libsodium before the fix of CVE-2025-69277 took it for a key.
  VerifyKey outside;
  outside.bytes.fill(0x99);
  outside.bytes[0] = 0x95;
  if (is_valid(outside)) return fail(Fault::unsupported, "this libsodium takes bad keys for good (CVE-2025-69277): install the system's updates");
  Digest other;
  crypto_hash_sha256(other.bytes.data(), outside.bytes.data(), outside.bytes.size());
  if (other != sha256(outside.bytes)) return fail(Fault::unsupported, "libcrypto and libsodium disagree about SHA-256");
  std::array<std::uint8_t, 32> ours = other.bytes;
  std::array<std::uint8_t, ours.size() + aead_tag_bytes> theirs{};
  std::array<std::uint8_t, aead_tag_bytes> tag{};
  const ByteView nonce = other.view().first(12);
  crypto_aead_chacha20poly1305_ietf_encrypt(theirs.data(), nullptr, ours.data(), ours.size(), nonce.data(), nonce.size(), nullptr, nonce.data(),
                                            outside.bytes.data());
  chacha_seal(outside.bytes, nonce.first<12>(), nonce, ours, tag);
  if (!equal(ByteView(theirs).first(ours.size()), ours) || !equal(ByteView(theirs).last(tag.size()), tag)) {
    return fail(Fault::unsupported, "libcrypto and libsodium disagree about ChaCha20-Poly1305");
  }
  return {};
}

}  // namespace dozo::crypto

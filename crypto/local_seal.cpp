#include "crypto/local_seal.h"

#include <sodium.h>

#include "crypto/hash.h"
#include "crypto/random.h"

namespace dozo::crypto {
namespace {

template <class Key>
Key derived(const LocalKey::Root& root, std::string_view label) {
  return Key::made_by([&](std::span<std::uint8_t, 32> out) { hkdf_expand(root.reveal(), {view_of(label)}, out); });
}

constexpr std::size_t nonce_bytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
static_assert(LocalKey::overhead_bytes == nonce_bytes + crypto_aead_xchacha20poly1305_ietf_ABYTES);

}  // namespace

LocalKey::LocalKey(const Root& root)
    : seal_key_(derived<Secret<32, struct LocalSealPurpose>>(root, "dozo local 1 seal")),
      name_key_(derived<Secret<32, struct LocalNamePurpose>>(root, "dozo local 1 name")) {}

Bytes LocalKey::seal(ByteView plain, ByteView associated) const {
  Bytes out(overhead_bytes + plain.size());
  random_bytes(ByteSpan(out).first(nonce_bytes));
  crypto_aead_xchacha20poly1305_ietf_encrypt(out.data() + nonce_bytes, nullptr, plain.data(), plain.size(), associated.data(), associated.size(), nullptr,
                                             out.data(), seal_key_.reveal().data());
  return out;
}

Result<Bytes> LocalKey::open(ByteView sealed, ByteView associated) const {
  if (sealed.size() < overhead_bytes) return fail(Fault::corrupt, "a local value that is too short");
  Bytes out(sealed.size() - overhead_bytes);
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(out.data(), nullptr, nullptr, sealed.data() + nonce_bytes, sealed.size() - nonce_bytes, associated.data(),
                                                 associated.size(), sealed.data(), seal_key_.reveal().data()) != 0) {
    return fail(Fault::corrupt, "a local value that is damaged or of another node");
  }
  return out;
}

Digest LocalKey::keyed(std::string_view use, ByteView what) const {
  const auto length = static_cast<std::uint8_t>(use.size());
  return hmac_sha256(name_key_.reveal(), {ByteView(&length, 1), view_of(use), what});
}

}  // namespace dozo::crypto

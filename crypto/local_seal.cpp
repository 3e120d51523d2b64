#include "crypto/local_seal.h"

#include <algorithm>

#include "base/invariant.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/random.h"

namespace dozo::crypto {
namespace {

template <class Key>
Key derived(const LocalKey::Root& root, std::string_view label) {
  return Key::made_by([&](std::span<std::uint8_t, 32> out) { hkdf_expand(root.reveal(), {view_of(label)}, out); });
}

static_assert(LocalKey::overhead_bytes == xchacha_nonce_bytes + aead_tag_bytes);

}  // namespace

LocalKey::LocalKey(const Root& root)
    : seal_key_(derived<Secret<32, struct LocalSealPurpose>>(root, "dozo local 1 seal")),
      nonce_key_(derived<Secret<32, struct LocalNoncePurpose>>(root, "dozo local 1 nonce")),
      name_key_(derived<Secret<32, struct LocalNamePurpose>>(root, "dozo local 1 name")) {}

Bytes LocalKey::seal(ByteView plain, ByteView associated) const {
  Bytes out(overhead_bytes + plain.size());
  const ByteSpan whole(out);
  std::array<std::uint8_t, 32> fresh{};
  random_bytes(fresh);
  std::array<std::uint8_t, 8> associated_size{};
  put_u64(associated_size.data(), associated.size());
  // The bytes themselves are in it: a cloned machine has the same key and may draw the same, and must not use one nonce for two values.
  const Digest nonce = hmac_sha256(nonce_key_.reveal(), {fresh, associated_size, associated, plain});
  std::copy_n(nonce.bytes.begin(), xchacha_nonce_bytes, out.begin());
  xchacha_seal(seal_key_.reveal(), whole.first<xchacha_nonce_bytes>(), associated, plain, whole.subspan(xchacha_nonce_bytes));
  return out;
}

Result<Bytes> LocalKey::open(ByteView sealed, ByteView associated) const {
  if (sealed.size() < overhead_bytes) return fail(Fault::corrupt, "a local value that is too short");
  Bytes out(sealed.size() - overhead_bytes);
  if (!xchacha_open(seal_key_.reveal(), sealed.first<xchacha_nonce_bytes>(), associated, sealed.subspan(xchacha_nonce_bytes), out)) {
    return fail(Fault::corrupt, "a local value that is damaged or of another node");
  }
  return out;
}

Digest LocalKey::keyed(std::string_view use, ByteView what) const {
  INVARIANT(use.size() <= 255);
  const auto length = static_cast<std::uint8_t>(use.size());
  return hmac_sha256(name_key_.reveal(), {ByteView(&length, 1), view_of(use), what});
}

}  // namespace dozo::crypto

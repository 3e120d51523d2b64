#include "crypto/epoch.h"

#include <sodium.h>

#include "crypto/hash.h"
#include "crypto/random.h"

namespace dozo::crypto {
namespace {

Bytes named(const LibraryId& library, Epoch epoch) {
  Bytes out = bytes_of(library.view());
  out.resize(out.size() + 4);
  put_u32(out.data() + LibraryId::size, epoch.value);
  return out;
}

using WrapKey = Secret<32, struct WrapPurpose>;
WrapKey wrap_key(const EpochKey& successor) {
  return WrapKey::made_by([&](std::span<std::uint8_t, 32> out) { hkdf_expand(successor.reveal(), {view_of("dozo epoch 1 wrap")}, out); });
}
constexpr std::size_t nonce_bytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, tag_bytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;

}  // namespace

Digest commitment_of(const EpochKey& key, const LibraryId& library, Epoch epoch) {
  std::array<std::uint8_t, 32> commit_key{};
  hkdf_expand(key.reveal(), {view_of("dozo epoch 1 commitment")}, commit_key);
  return hmac_sha256(commit_key, {named(library, epoch)});
}

Bytes seal_epoch_key(const EpochKey& key, const SealPublicKey& to) { return seal_to(to, key.reveal()); }

Result<EpochKey> open_epoch_key(const SealKey& with, ByteView sealed, const LibraryId& library, Epoch epoch, const Digest& commitment) {
  const SecretBytes bytes = TRY(unseal(with, sealed));
  EpochKey key = TRY(EpochKey::from(bytes.reveal()));
  if (commitment_of(key, library, epoch) != commitment) return fail(Fault::not_authentic, "a library key that is not the published one");
  return key;
}

Bytes wrap_predecessor(const EpochKey& successor, const EpochKey& predecessor, const LibraryId& library, Epoch epoch) {
  Bytes out(nonce_bytes + EpochKey::size + tag_bytes);
  random_bytes(ByteSpan(out).first(nonce_bytes));
  const Bytes associated = named(library, epoch);
  crypto_aead_xchacha20poly1305_ietf_encrypt(out.data() + nonce_bytes, nullptr, predecessor.reveal().data(), EpochKey::size, associated.data(),
                                             associated.size(), nullptr, out.data(), wrap_key(successor).reveal().data());
  return out;
}

Result<EpochKey> unwrap_predecessor(const EpochKey& successor, ByteView wrapped, const LibraryId& library, Epoch epoch, const Digest& predecessor_commitment) {
  const auto refuse = [] { return fail(Fault::not_authentic, "an earlier library key that does not open"); };
  if (wrapped.size() != nonce_bytes + EpochKey::size + tag_bytes || epoch.value < 2) return refuse();
  const Bytes associated = named(library, epoch);
  bool opened = false;
  EpochKey key = EpochKey::made_by([&](std::span<std::uint8_t, 32> out) {
    opened = crypto_aead_xchacha20poly1305_ietf_decrypt(out.data(), nullptr, nullptr, wrapped.data() + nonce_bytes, wrapped.size() - nonce_bytes,
                                                        associated.data(), associated.size(), wrapped.data(), wrap_key(successor).reveal().data()) == 0;
  });
  if (!opened || commitment_of(key, library, Epoch{epoch.value - 1}) != predecessor_commitment) return refuse();
  return key;
}

}  // namespace dozo::crypto

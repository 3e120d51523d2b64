#include "crypto/epoch.h"

#include "base/invariant.h"
#include "crypto/aead.h"
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
constexpr std::size_t wrapped_bytes = xchacha_nonce_bytes + EpochKey::size + aead_tag_bytes;

}  // namespace

Digest commitment_of(const EpochKey& key, const LibraryId& library, Epoch epoch) {
  const auto commit_key =
      Secret<32, struct CommitPurpose>::made_by([&](std::span<std::uint8_t, 32> out) { hkdf_expand(key.reveal(), {view_of("dozo epoch 1 commitment")}, out); });
  return hmac_sha256(commit_key.reveal(), {named(library, epoch)});
}

Result<Bytes> seal_epoch_key(const EpochKey& key, const SealPublicKey& to) { return seal_to(to, key.reveal()); }

Result<EpochKey> open_epoch_key(const SealKey& with, ByteView sealed, const LibraryId& library, Epoch epoch, const Digest& commitment) {
  const SecretBytes bytes = TRY(unseal(with, sealed));
  EpochKey key = TRY(EpochKey::from(bytes.reveal()));
  if (commitment_of(key, library, epoch) != commitment) return fail(Fault::not_authentic, "a library key that is not the published one");
  return key;
}

Bytes wrap_predecessor(const EpochKey& successor, const EpochKey& predecessor, const LibraryId& library, Epoch epoch) {
  INVARIANT(epoch.value >= 2);
  Bytes out(wrapped_bytes);
  const ByteSpan whole(out);
  random_bytes(whole.first<xchacha_nonce_bytes>());
  xchacha_seal(wrap_key(successor).reveal(), whole.first<xchacha_nonce_bytes>(), named(library, epoch), predecessor.reveal(),
               whole.subspan(xchacha_nonce_bytes));
  return out;
}

Result<EpochKey> unwrap_predecessor(const EpochKey& successor, ByteView wrapped, const LibraryId& library, Epoch epoch, const Digest& predecessor_commitment) {
  const auto refuse = [] { return fail(Fault::not_authentic, "an earlier library key that does not open"); };
  if (wrapped.size() != wrapped_bytes || epoch.value < 2) return refuse();
  bool opened = false;
  EpochKey key = EpochKey::made_by([&](std::span<std::uint8_t, 32> out) {
    opened = xchacha_open(wrap_key(successor).reveal(), wrapped.first<xchacha_nonce_bytes>(), named(library, epoch), wrapped.subspan(xchacha_nonce_bytes), out);
  });
  if (!opened || commitment_of(key, library, Epoch{epoch.value - 1}) != predecessor_commitment) return refuse();
  return key;
}

}  // namespace dozo::crypto

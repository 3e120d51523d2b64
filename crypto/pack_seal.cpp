#include "crypto/pack_seal.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <bit>

#include "base/invariant.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/random.h"

// Header, 96 bytes:   0 "DOZP" | 4 suite | 5 kind | 6 two zero bytes | 8 library 16 | 24 epoch u32 | 28 body length u32 | 32 salt 32 | 64 commitment 32
// then the encrypted body (u32 plain length, plain, zeros) and the tag of 16.
// One suite: HKDF-SHA-256, HMAC-SHA-256, ChaCha20-Poly1305 (RFC 8439). The commitment is checked before anything is decrypted: the AEAD alone
// does not bind a ciphertext to one key.
namespace dozo::crypto {
namespace {

constexpr std::uint8_t suite = 1;
constexpr std::size_t salt_at = 32, commitment_at = 64, nonce_bytes = 12;
constexpr std::string_view extract_label = "dozo pack 1", salt_label = "dozo pack 1 salt", seal_label = "dozo pack 1 seal", once_label = "dozo pack 1 once";

std::size_t padme(std::size_t size) {
  const auto exponent = static_cast<unsigned>(std::bit_width(size)) - 1;
  const unsigned zeros = exponent - static_cast<unsigned>(std::bit_width(exponent));
  const std::size_t mask = (std::size_t{1} << zeros) - 1;
  return (size + mask) & ~mask;
}

/// Key, nonce and commitment of one pack: HKDF-Expand over the header up to and with the salt.
struct Once {
  std::array<std::uint8_t, 32 + nonce_bytes + 32> bytes{};
  ~Once() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
  std::span<const std::uint8_t, 32> key() const { return std::span(bytes).first<32>(); }
  std::span<const std::uint8_t, nonce_bytes> nonce() const { return std::span(bytes).subspan<32, nonce_bytes>(); }
  std::span<const std::uint8_t, 32> commitment() const { return std::span(bytes).last<32>(); }
};
Once once(const Digest& extracted, ByteView header_with_salt) {
  std::array<std::uint8_t, 32> seal_key{};
  hkdf_expand(extracted.bytes, {view_of(seal_label)}, seal_key);
  Once out;
  hkdf_expand(seal_key, {view_of(once_label), header_with_salt}, out.bytes);
  OPENSSL_cleanse(seal_key.data(), seal_key.size());
  return out;
}

}  // namespace

std::size_t sealed_bytes(std::size_t plain_bytes) {
  const std::size_t least = std::max(pack_bytes_min, plain_bytes + pack_overhead_bytes + pack_length_bytes);
  return std::min(padme(least), bulk_pack_bytes);
}

Bytes seal_pack(const EpochKey& key, PackKind kind, const LibraryId& library, Epoch epoch, ByteView table, ByteView plain) {
  std::array<std::uint8_t, 32> fresh{};
  random_bytes(fresh);
  return seal_pack_with(key, kind, library, epoch, table, plain, fresh);
}

Bytes seal_pack_with(const EpochKey& key, PackKind kind, const LibraryId& library, Epoch epoch, ByteView table, ByteView plain, ByteView random32) {
  INVARIANT(plain.size() <= pack_plain_most && random32.size() == 32 && epoch.value > 0);
  const std::size_t size = sealed_bytes(plain.size());
  const std::size_t body_bytes = size - pack_overhead_bytes;
  Bytes out;
  out.reserve(size);  // and filled from front to back: zeros are written only where they stay
  out.resize(pack_header_bytes);
  std::ranges::copy(pack_magic, out.begin());
  out[4] = suite;
  out[5] = static_cast<std::uint8_t>(kind);
  std::ranges::copy(library.bytes, out.begin() + 8);
  put_u32(&out[24], epoch.value);
  put_u32(&out[28], static_cast<std::uint32_t>(body_bytes));
  Digest extracted = hkdf_extract(view_of(extract_label), key.reveal());
  std::array<std::uint8_t, 32> salt_key{};
  hkdf_expand(extracted.bytes, {view_of(salt_label)}, salt_key);
  const Digest table_hash = sha256(table);
  const Digest salt = hmac_sha256(salt_key, {random32, table_hash.bytes});
  OPENSSL_cleanse(salt_key.data(), salt_key.size());
  std::ranges::copy(salt.bytes, out.begin() + salt_at);
  const Once keys = once(extracted, ByteView(out).first(commitment_at));
  OPENSSL_cleanse(extracted.bytes.data(), extracted.bytes.size());
  std::ranges::copy(keys.commitment(), out.begin() + commitment_at);
  out.resize(pack_header_bytes + pack_length_bytes);
  put_u32(&out[pack_header_bytes], static_cast<std::uint32_t>(plain.size()));
  append(out, plain);
  out.resize(size);
  const ByteSpan whole(out);
  chacha_seal(keys.key(), keys.nonce(), whole.first(pack_header_bytes), whole.subspan(pack_header_bytes, body_bytes), whole.last<pack_tag_bytes>());
  return out;
}

PackAddress address_of(ByteView sealed) { return {sha256(sealed).bytes}; }

Result<PackHeader> check_sealed(ByteView sealed) {
  if (sealed.size() < pack_bytes_min || sealed.size() > bulk_pack_bytes) return fail(Fault::malformed, "a pack of a size that none has");
  if (text_of(sealed.first(4)) != pack_magic || sealed[6] != 0 || sealed[7] != 0) return fail(Fault::malformed, "not a pack");
  if (sealed[4] != suite) return fail(Fault::unsupported, "a pack of suite " + std::to_string(sealed[4]));
  if (sealed[5] > static_cast<std::uint8_t>(wire_last(PackKind{}))) return fail(Fault::malformed, "a pack of a kind that does not exist");
  PackHeader out{static_cast<PackKind>(sealed[5]), TRY(LibraryId::from(sealed.subspan(8, 16))), Epoch{get_u32(&sealed[24])}, get_u32(&sealed[28])};
  if (out.epoch.value == 0 || out.body_bytes != sealed.size() - pack_overhead_bytes) return fail(Fault::malformed, "a pack whose header does not fit it");
  if (sealed.size() != bulk_pack_bytes && padme(sealed.size()) != sealed.size()) return fail(Fault::malformed, "a pack of a size that none has");
  return out;
}

std::optional<std::size_t> sealed_bytes_at(ByteView beginning) {
  if (beginning.size() < pack_header_bytes || text_of(beginning.first(4)) != pack_magic || beginning[6] != 0 || beginning[7] != 0) return std::nullopt;
  const std::size_t size = std::size_t{get_u32(&beginning[28])} + pack_overhead_bytes;
  return size < pack_bytes_min || size > bulk_pack_bytes ? std::nullopt : std::optional(size);
}

Result<Bytes> open_pack(const EpochKey& key, ByteView sealed, const LibraryId& library) {
  const auto refuse = [] { return fail(Fault::not_authentic, "a pack that does not open"); };
  const auto header = check_sealed(sealed);
  if (!header || header->library != library) return refuse();
  Digest extracted = hkdf_extract(view_of(extract_label), key.reveal());
  const Once keys = once(extracted, sealed.first(commitment_at));
  OPENSSL_cleanse(extracted.bytes.data(), extracted.bytes.size());
  if (CRYPTO_memcmp(keys.commitment().data(), &sealed[commitment_at], 32) != 0) return refuse();
  Bytes body(header->body_bytes);
  if (!chacha_open(keys.key(), keys.nonce(), sealed.first(pack_header_bytes), sealed.subspan(pack_header_bytes, body.size()), sealed.last<pack_tag_bytes>(),
                   body)) {
    return refuse();
  }
  const std::size_t plain = get_u32(body.data());
  if (plain > body.size() - pack_length_bytes || sealed_bytes(plain) != sealed.size()) return refuse();
  const auto padding = body.begin() + static_cast<std::ptrdiff_t>(pack_length_bytes + plain);
  if (std::any_of(padding, body.end(), [](std::uint8_t byte) { return byte != 0; })) return refuse();
  body.erase(padding, body.end());
  body.erase(body.begin(), body.begin() + pack_length_bytes);
  return body;
}

}  // namespace dozo::crypto

#include "crypto/identity.h"

#include <sodium.h>

#include <algorithm>
#include <array>

#include "base/invariant.h"
#include "crypto/hash.h"
#include "crypto/random.h"

namespace dozo::crypto {
namespace {

constexpr std::string_view possession_label = "dozo possession 1";

Bytes with_context(std::string_view context, ByteView message) {
  INVARIANT(context.size() <= 255);
  Bytes out;
  out.reserve(1 + context.size() + message.size());
  out.push_back(static_cast<std::uint8_t>(context.size()));
  append(out, view_of(context));
  append(out, message);
  return out;
}

Bytes public_bytes(const NodePublic& node) {
  Bytes out;
  for (const ByteView part : {node.id.view(), node.sign.view(), node.seal.view(), node.transport.view()}) append(out, part);
  return out;
}

template <class Scalar, class Public>
std::pair<Scalar, Public> key_pair() {
  Public key;
  Scalar secret = Scalar::made_by([&](std::span<std::uint8_t, 32> bytes) { crypto_box_keypair(key.bytes.data(), bytes.data()); });
  return {std::move(secret), key};
}

template <class Scalar, class Public>
Result<std::pair<Scalar, Public>> key_pair_from(ByteView bytes) {
  Scalar secret = TRY(Scalar::from(bytes));
  Public key;
  if (crypto_scalarmult_base(key.bytes.data(), secret.reveal().data()) != 0) return fail(Fault::malformed, "not a key");
  return std::pair<Scalar, Public>{std::move(secret), key};
}

/// HMAC of the public parts under the secret that both sides can compute.
Result<Digest> shared_proof(ByteView secret, ByteView other_public, std::string_view use, const NodePublic& node) {
  std::array<std::uint8_t, crypto_scalarmult_BYTES> shared{};
  if (crypto_scalarmult(shared.data(), secret.data(), other_public.data()) != 0) return fail(Fault::not_authentic, "a public key that is no proper point");
  const Digest out = hmac_sha256(shared, {view_of(possession_label), view_of(use), public_bytes(node)});
  sodium_memzero(shared.data(), shared.size());
  return out;
}

}  // namespace

SigningKey SigningKey::generate() {
  VerifyKey key;
  Expanded secret = Expanded::made_by([&](std::span<std::uint8_t, 64> bytes) { crypto_sign_keypair(key.bytes.data(), bytes.data()); });
  return {std::move(secret), key};
}

Result<SigningKey> SigningKey::from_seed(ByteView seed) {
  if (seed.size() != seed_bytes) return fail(Fault::malformed, "a signing key of the wrong length");
  VerifyKey key;
  Expanded secret = Expanded::made_by([&](std::span<std::uint8_t, 64> bytes) { crypto_sign_seed_keypair(key.bytes.data(), bytes.data(), seed.data()); });
  return SigningKey(std::move(secret), key);
}

Signature sign_raw(const SigningKey& key, ByteView message) {
  Signature out;
  crypto_sign_detached(out.bytes.data(), nullptr, message.data(), message.size(), key.secret_.reveal().data());
  return out;
}

Result<void> verify_raw(const VerifyKey& key, ByteView message, const Signature& signature) {
  if (!is_valid(key) || crypto_sign_verify_detached(signature.bytes.data(), message.data(), message.size(), key.bytes.data()) != 0) {
    return fail(Fault::not_authentic, "a signature that does not fit");
  }
  return {};
}

Signature sign(const SigningKey& key, std::string_view context, ByteView message) { return sign_raw(key, with_context(context, message)); }

Result<void> verify(const VerifyKey& key, std::string_view context, ByteView message, const Signature& signature) {
  return verify_raw(key, with_context(context, message), signature);
}

bool is_valid(const VerifyKey& key) {
  // As costly as the signature's own check, and always asked of the same few keys: those that passed last are remembered. No valid key is zero.
  thread_local std::array<VerifyKey, 256> passed{};
  VerifyKey& slot = passed[key.bytes[0]];
  if (slot == key && !key.is_zero()) return true;
  if (crypto_core_ed25519_is_valid_point(key.bytes.data()) != 1) return false;
  slot = key;
  return true;
}

SealKey SealKey::generate() {
  auto [secret, key] = key_pair<Scalar, SealPublicKey>();
  return {std::move(secret), key};
}
Result<SealKey> SealKey::from(ByteView bytes) {
  auto [secret, key] = TRY((key_pair_from<Scalar, SealPublicKey>(bytes)));
  return SealKey(std::move(secret), key);
}
TransportKey TransportKey::generate() {
  auto [secret, key] = key_pair<Scalar, TransportPublicKey>();
  return {std::move(secret), key};
}
Result<TransportKey> TransportKey::from(ByteView bytes) {
  auto [secret, key] = TRY((key_pair_from<Scalar, TransportPublicKey>(bytes)));
  return TransportKey(std::move(secret), key);
}

Result<Bytes> seal_to(const SealPublicKey& to, ByteView plain) {
  Bytes out(plain.size() + crypto_box_SEALBYTES);
  if (crypto_box_seal(out.data(), plain.data(), plain.size(), to.bytes.data()) != 0) return fail(Fault::not_authentic, "a public key that is no proper point");
  return out;
}

Result<SecretBytes> unseal(const SealKey& key, ByteView sealed) {
  if (sealed.size() < crypto_box_SEALBYTES) return fail(Fault::not_authentic, "a sealed box that is too short");
  Bytes out(sealed.size() - crypto_box_SEALBYTES);
  if (crypto_box_seal_open(out.data(), sealed.data(), sealed.size(), key.public_key().bytes.data(), key.reveal().data()) != 0) {
    return fail(Fault::not_authentic, "a sealed box that this key does not open");
  }
  return SecretBytes(std::move(out));
}

NodeKeys NodeKeys::generate() { return {random_id<NodeId>(), SigningKey::generate(), SealKey::generate(), TransportKey::generate()}; }

SecretBytes NodeKeys::reveal() const {
  Bytes out;
  out.reserve(16 + 3 * 32);  // or growing would leave copies behind
  for (const ByteView part : {id.view(), sign.reveal_seed(), seal.reveal(), transport.reveal()}) append(out, part);
  return SecretBytes(std::move(out));
}

Result<NodeKeys> NodeKeys::from(ByteView bytes) {
  if (bytes.size() != 16 + 3 * 32) return fail(Fault::malformed, "node keys of the wrong length");
  return NodeKeys{TRY(NodeId::from(bytes.first(16))), TRY(SigningKey::from_seed(bytes.subspan(16, 32))), TRY(SealKey::from(bytes.subspan(48, 32))),
                  TRY(TransportKey::from(bytes.subspan(80, 32)))};
}

Result<Possession> prove_possession(const NodeKeys& keys, const SealPublicKey& admission) {
  const NodePublic node = keys.public_part();
  return Possession{sign(keys.sign, possession_label, public_bytes(node)), TRY(shared_proof(keys.seal.reveal(), admission.view(), "seal", node)),
                    TRY(shared_proof(keys.transport.reveal(), admission.view(), "transport", node))};
}

Result<void> check_possession(const NodePublic& node, const Possession& proof, const SealKey& admission) {
  TRY(verify(node.sign, possession_label, public_bytes(node), proof.signature));
  const Digest seal = TRY(shared_proof(admission.reveal(), node.seal.view(), "seal", node));
  const Digest transport = TRY(shared_proof(admission.reveal(), node.transport.view(), "transport", node));
  if (sodium_memcmp(seal.bytes.data(), proof.seal_proof.bytes.data(), Digest::size) != 0 ||
      sodium_memcmp(transport.bytes.data(), proof.transport_proof.bytes.data(), Digest::size) != 0) {
    return fail(Fault::not_authentic, "a request whose maker does not hold its keys");
  }
  return {};
}

}  // namespace dozo::crypto

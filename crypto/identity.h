// Identity: the keys of nodes and persons, and what is done with them.
//
// A node has three independent keys, one purpose each, never converted into each other: Ed25519 to sign, X25519 to be sealed to, and CURVE
// (X25519) for the transport. A person has an Ed25519 key. Private keys are move-only and wiped.
// Threads: pure functions and plain values.
#pragma once
#include <string_view>

#include "base/ids.h"
#include "crypto/secret.h"

namespace dozo::crypto {

using VerifyKey = FixedBytes<32, struct VerifyKeyTag>;  ///< Ed25519 public key
using Signature = FixedBytes<64, struct SignatureTag>;
using SealPublicKey = FixedBytes<32, struct SealPublicKeyTag>;            ///< X25519 public key
using TransportPublicKey = FixedBytes<32, struct TransportPublicKeyTag>;  ///< X25519 public key, as CURVE takes it

class SigningKey {
 public:
  static constexpr std::size_t seed_bytes = 32;
  static SigningKey generate();
  static Result<SigningKey> from_seed(ByteView seed);
  const VerifyKey& public_key() const { return public_key_; }
  ByteView reveal_seed() const { return secret_.reveal().first(seed_bytes); }
  SigningKey copy() const { return std::move(*from_seed(reveal_seed())); }

 private:
  friend Signature sign_raw(const SigningKey& key, ByteView message);
  using Expanded = Secret<64, struct SigningPurpose>;
  SigningKey(Expanded secret, VerifyKey key) : secret_(std::move(secret)), public_key_(key) {}
  Expanded secret_;  ///< seed, public key
  VerifyKey public_key_;
};

/// Signs u8 length of the context, context, message. The context names product, use and version ("dozo record 1"; at most 255 bytes), so that no
/// signature can be taken for one of another use.
Signature sign(const SigningKey& key, std::string_view context, ByteView message);
/// Fault: not_authentic, also for a key that is no proper point.
Result<void> verify(const VerifyKey& key, std::string_view context, ByteView message, const Signature& signature);

/// Without context: only for formats whose message begins with its own use and was fixed elsewhere (C2SP signed notes).
Signature sign_raw(const SigningKey& key, ByteView message);
Result<void> verify_raw(const VerifyKey& key, ByteView message, const Signature& signature);

/// A point of the main subgroup. Every public key that enters a policy must be.
bool is_valid(const VerifyKey& key);

class SealKey {
 public:
  static SealKey generate();
  static Result<SealKey> from(ByteView secret);
  const SealPublicKey& public_key() const { return public_key_; }
  ByteView reveal() const { return secret_.reveal(); }
  SealKey copy() const { return std::move(*from(reveal())); }

 private:
  using Scalar = Secret<32, struct SealPurpose>;
  SealKey(Scalar secret, SealPublicKey key) : secret_(std::move(secret)), public_key_(key) {}
  Scalar secret_;
  SealPublicKey public_key_;
};

/// An anonymous sealed box (48 bytes longer): says nothing about the sender, so it stands only inside signed documents.
/// Fault: not_authentic (`to` is no proper point, from which no secret can come; such keys are foreign bytes too).
Result<Bytes> seal_to(const SealPublicKey& to, ByteView plain);
/// Fault: not_authentic.
Result<SecretBytes> unseal(const SealKey& key, ByteView sealed);

class TransportKey {
 public:
  static TransportKey generate();
  static Result<TransportKey> from(ByteView secret);
  const TransportPublicKey& public_key() const { return public_key_; }
  ByteView reveal() const { return secret_.reveal(); }
  TransportKey copy() const { return std::move(*from(reveal())); }

 private:
  using Scalar = Secret<32, struct TransportPurpose>;
  TransportKey(Scalar secret, TransportPublicKey key) : secret_(std::move(secret)), public_key_(key) {}
  Scalar secret_;
  TransportPublicKey public_key_;
};

struct NodePublic {
  NodeId id;
  VerifyKey sign;
  SealPublicKey seal;
  TransportPublicKey transport;
  bool operator==(const NodePublic&) const = default;
};

struct NodeKeys {
  NodeId id;
  SigningKey sign;
  SealKey seal;
  TransportKey transport;

  static NodeKeys generate();
  NodePublic public_part() const { return {id, sign.public_key(), seal.public_key(), transport.public_key()}; }
  SecretBytes reveal() const;                    ///< id and three secrets, 112 bytes: what a key file holds
  static Result<NodeKeys> from(ByteView bytes);  ///< Fault: malformed
};

/// That the maker of an enrolment request holds all three keys: a signature over the four public parts, and for each X25519 key an HMAC
/// under its Diffie-Hellman secret with the realm's admission key.
struct Possession {
  Signature signature;
  Digest seal_proof;
  Digest transport_proof;
  bool operator==(const Possession&) const = default;
};
/// Fault: not_authentic (an admission key that is no proper point).
Result<Possession> prove_possession(const NodeKeys& keys, const SealPublicKey& admission);
/// Fault: not_authentic.
Result<void> check_possession(const NodePublic& node, const Possession& proof, const SealKey& admission);

}  // namespace dozo::crypto

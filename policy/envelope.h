// Envelope: a document as it travels: type, name, payload and signatures.
//
// A signature is over the payload's bytes as shipped, with type and name, under the context "dozo document 1". Reading an envelope
// parses four fields of strict JSON and nothing of the payload; the payload is for parsing only after `verify` (or, for root, after
// trust.h has found the keys in it to be right).
// Not here: what a payload says (documents.h), which keys count (trust.h).
// Threads: plain values and pure functions.
#pragma once
#include <vector>

#include "policy/documents.h"

namespace dozo::policy {

inline constexpr std::size_t envelope_signatures_most = 64;

struct EnvelopeSignature {
  crypto::VerifyKey key;
  crypto::Signature signature;
  bool operator==(const EnvelopeSignature&) const = default;
};
struct Envelope {
  DocumentType type{};
  std::string name;
  Bytes payload;
  std::vector<EnvelopeSignature> signatures;  ///< ascending by key, each key once
};

/// What the bytes say, unverified. Faults: over_limit, malformed (also a name that does not fit the type, and a key that is there twice).
Result<Envelope> read_envelope(ByteView bytes);
Bytes write_envelope(const Envelope& envelope);

/// An envelope without signatures, for custodians to sign one after the other.
Bytes unsigned_envelope(DocumentType type, std::string_view name, ByteView payload);
/// The envelope with the signature of `key` added. One by the same key is replaced. Faults: those of read_envelope.
Result<Bytes> add_signature(ByteView envelope, const crypto::SigningKey& key);

/// That at least `threshold` of distinct `keys` signed. Signatures by other keys, and wrong ones, count for nothing.
/// Fault: not_authentic; also for a threshold of 0 or above the number of distinct keys.
Result<void> verify(const Envelope& envelope, const RoleKeys& keys);

}  // namespace dozo::policy

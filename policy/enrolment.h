// Enrolment: the two small files by which a realm and a newcomer find each other: realm.json goes from HQ to the newcomer, a request comes back.
//
// realm.json pins the realm: whoever takes it must compare the realm's id over another way (paper, telephone). All else in it that matters is signed, or is
// only an address. A request is signed as a whole by the key that it enrols, and proves that its maker has the others.
// docs/keys.md has the formats. Not here: files, and who decides about a request. Threads: plain values and pure functions.
#pragma once
#include <variant>
#include <vector>

#include "policy/documents.h"

namespace dozo::policy {

inline constexpr std::size_t realm_file_bytes_most = 1U << 20;
inline constexpr std::size_t request_bytes_most = 16 * 1024;

/// A node to ask for the authority's documents.
struct Contact {
  NodeId id;
  std::string name;
  crypto::TransportPublicKey transport;
  Addresses addresses;
  bool operator==(const Contact&) const = default;
};
struct RealmFile {
  RealmId realm;
  Bytes first_root;               ///< envelope
  std::vector<Contact> contacts;  ///< HQ's nodes first
  Root root;                      ///< what first_root says: signed by itself
};
/// Faults: over_limit, malformed, not_authentic (the root is not signed by itself, or is not the realm's).
Result<RealmFile> read_realm_file(ByteView text);
/// `root` is not written: first_root has it.
Bytes write_realm_file(const RealmFile& it);

struct NodeRequest {
  RealmId realm;
  crypto::NodePublic keys;
  crypto::Possession possession;
  std::string name, zone;
  NodeKind kind{};
  Addresses addresses;
  bool operator==(const NodeRequest&) const = default;
};
struct PersonRequest {
  RealmId realm;
  PersonId id;
  std::string name, shown;
  crypto::VerifyKey key;
  bool operator==(const PersonRequest&) const = default;
};
using EnrolmentRequest = std::variant<NodeRequest, PersonRequest>;

/// Fill in proof and signature. Fault: not_authentic (the realm's admission key is no proper point), malformed (a name that is none).
Result<Bytes> make_request(NodeRequest request, const crypto::NodeKeys& keys, const crypto::SealPublicKey& admission);
Result<Bytes> make_request(const PersonRequest& request, const crypto::SigningKey& key);
/// What it says, signed by the key that it names. Faults: over_limit, malformed, not_authentic, unsupported (a newer kind).
Result<EnrolmentRequest> read_request(ByteView text);
/// That the request is for this realm, and its maker holds the three keys. Faults: denied (another realm), not_authentic.
Result<void> check_request(const NodeRequest& request, const RealmId& realm, const crypto::SealKey& admission);

}  // namespace dozo::policy

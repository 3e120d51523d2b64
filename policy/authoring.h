// Authoring: HQ's side: makes the documents of a realm, version after version, and signs them.
//
// In steps, so that custodians may sign one after the other: draft() makes mesh, directory, epochs and grants unsigned; add_signature (envelope.h)
// is called by each who signs; finish() lists and hashes the signed envelopes in a snapshot, which is signed; refresh() makes freshness.
// publish() does all of it with keys that are at hand.
// Not here: the source (source.h), files, splitting of the recovery key (crypto/shares.h).
// Threads: pure functions; keys are drawn from crypto/random.h.
#pragma once
#include <map>
#include <set>
#include <span>
#include <vector>

#include "policy/keys.h"
#include "policy/source.h"
#include "policy/trust.h"

namespace dozo::policy {

struct RootPlan {
  std::string name;
  std::int64_t issued_s{}, expires_s{};
  std::map<SigningRole, RoleKeys> roles;
  crypto::SealPublicKey admission, recovery;
};
/// An unsigned first root (no `previous`, no `realm`), or the successor of `previous`, which must be signed up to the thresholds of both.
/// Fault: malformed (thresholds, repeated keys, keys that are no proper points, roles missing).
Result<Bytes> draft_root(const RootPlan& plan, const Root* previous, const std::optional<RealmId>& realm);

using Signers = std::span<const crypto::SigningKey* const>;
/// All signatures added. Fault: those of add_signature.
Result<Bytes> sign_with(ByteView envelope, Signers keys);

/// What HQ has published: envelopes by name ("mesh", "directory", "epochs", "grants/...", "org/...", "slice/...", "snapshot", "freshness").
using Publication = std::map<std::string, Bytes>;

struct Changes {
  std::set<LibraryId> new_epochs;  ///< beside those that must have one: libraries which a node with keys leaves, or that come back
  bool new_directory{};            ///< a new generation of the directory's key, beside the same rule
  bool new_sealing{};  ///< root has another admission or recovery key than when `previous` was made: all is sealed anew, and every library gets a new epoch
  /// To be added to those of `previous`. Where `since` is 0, it becomes the version that is being made; those of a library that comes back have theirs.
  std::map<LibraryId, std::vector<Cut>> cuts;
  std::map<LibraryId, std::vector<Admit>> admits;  ///< to be added
  std::vector<Bytes> orgs;  ///< what units have signed: of each, the newest that its delegation vouches for is listed, or that of `previous`
};
struct Draft {
  PolicyVersion version;  ///< that the snapshot will have
  Publication documents;  ///< unsigned where they are new; those that did not change are taken over as they are
  std::vector<std::string> to_sign;
  std::vector<std::string> notes;  ///< for people: "works: epoch 3, because sapporo left"
  KeyRing directory_keys;          ///< of the directory that is sealed in it, of the one before, of units' documents, and of slices
};
/// Documents for `compiled`, following `previous` (null: the first). Those that would say the same again and are good for another half of their time
/// keep version and signatures. `admission` opens the keys of the epochs that there are: root's, or with `new_sealing` the one before; cuts and admits of
/// `previous` stay. Faults: stale (root has expired: no new grants), not_authentic (`admission` is another one, or `previous` does not open), denied (one of
/// the policy's own tests fails, or a unit reaches beyond what is delegated to it: no node would take it; or a slice decides otherwise than the whole),
/// malformed, over_limit (a document would be larger than nodes take: which, and what makes it so).
Result<Draft> draft(const Root& root, const RealmId& realm, const Compiled& compiled, const Publication* previous, const Changes& changes,
                    const crypto::SealKey& admission, std::int64_t now_s);

/// A cut of everything that `subject` wrote beyond what is named, in each of these libraries, for Changes. Ends in other libraries are left out, and those at
/// nothing, since a feed that is not named ends there.
std::map<LibraryId, std::vector<Cut>> cuts_of(const CutSubject& subject, const std::set<LibraryId>& libraries, const std::map<FeedId, FeedPoint>& ends);

/// A mesh as it is to be signed, which nodes take and can read back. Fault: over_limit (what makes it too large), malformed.
Result<Bytes> mesh_payload(const Mesh& mesh);

/// An unsigned snapshot over signed documents. Fault: not_authentic (a document is not signed up to its threshold yet: which).
Result<Bytes> draft_snapshot(const Root& root, const RealmId& realm, const Draft& draft, const Publication* previous, std::uint32_t days, std::int64_t now_s);
/// Freshness for a signed snapshot, signed. What HQ's node does every hour. `last_version`: of the newest freshness known.
Result<Bytes> refresh(const RealmId& realm, ByteView snapshot_envelope, std::uint64_t last_version, std::uint32_t hours, Signers keys, std::int64_t now_s);

/// Who signs this document: the keys of its role, or those that the mesh delegates its unit to. Fault: not_authentic (nothing is delegated).
Result<RoleKeys> signers_of(const Root& root, const Mesh& mesh, DocumentType type, std::string_view name);

/// Keys at hand, by role.
using RoleSigners = std::map<SigningRole, std::vector<const crypto::SigningKey*>>;
struct Published {
  Publication documents;
  PolicyVersion version;
  std::vector<std::string> notes;
};
/// All steps at once. Faults: those of the steps.
Result<Published> publish(const Root& root, const RealmId& realm, const Compiled& compiled, const Publication* previous, const Changes& changes,
                          const crypto::SealKey& admission, const RoleSigners& signers, std::int64_t now_s);

/// The id of a realm: SHA-256 of its first root's payload. Faults: those of read_envelope.
Result<RealmId> realm_of(ByteView first_root_envelope);

}  // namespace dozo::policy

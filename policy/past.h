// Past: older versions of the policy, which entries of the past name. Each snapshot hashes the one before it, so that a version which this node
// never saw in force can be taken from any peer, whatever keys have been dropped since.
//
// Not here: which version is in force (trust.h), keeping bytes on a disk.
// Threads: one owner.
#pragma once
#include <map>
#include <set>

#include "policy/trust.h"

namespace dozo::policy {

class Past {
 public:
  /// For each set that comes into force, in that order (after a restart the one in force; then offer() what documents() gave). What is above it is
  /// forgotten, and all snapshots before it where keys of the snapshot role were dropped: until the new chain names them.
  void anchor(const DocumentSet& set);
  /// Takes a snapshot, mesh, directory, unit's document or own slice whose hash a known snapshot names. Faults: over_limit, malformed, not_found (no known
  /// snapshot names it), denied (the chain contradicts what was in force here: a fork).
  Result<Offer> offer(ByteView envelope);
  /// What is missing to know `version`: the snapshot to fetch next, or its mesh, directory and units' documents. Nothing: it is complete, or above all that is
  /// known.
  std::vector<Want> wants(PolicyVersion version) const;
  bool complete(PolicyVersion version) const;
  struct Version {
    Digest snapshot_sha256;
    const Mesh* mesh{};
    const SealedDirectory* directory{};
    std::map<std::string, SealedOrg> orgs;  ///< by document name
    const SealedSlice* slice{};             ///< this node's, by its name of today; null: it had none
  };
  std::optional<Version> at(PolicyVersion version) const;  ///< valid until the next anchor() or offer()
  std::vector<Held> documents() const;                     ///< taken by offer(), for keeping and for peers

 private:
  std::map<std::uint64_t, std::pair<Digest, Snapshot>> snapshots_;
  std::map<std::uint64_t, Digest> named_;  ///< by a known later snapshot
  std::map<Digest, Mesh> meshes_;
  std::map<Digest, SealedDirectory> directories_;
  std::map<Digest, SealedOrg> orgs_;
  std::map<Digest, SealedSlice> slices_;
  std::string own_slice_;  ///< document name; empty: this node has none
  std::map<Digest, Held> held_;
};

}  // namespace dozo::policy

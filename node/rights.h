// Rights: what the policy versions that this node knows say about records, entries and cuts, for the store's judgement.
//
// All answers come from signed documents, so that every node that holds them answers alike.
// Threads: the engine's. The realm outlives it.
#pragma once
#include "node/realm.h"
#include "store/accept.h"
#include "store/entry.h"

namespace dozo::node {

class PolicyRights final : public store::Rights {
 public:
  explicit PolicyRights(const Realm& realm) : realm_(realm) {}
  /// With its directory open: without it nobody can say what a person, or a node by itself, may. The key may come.
  bool knows(PolicyVersion version) const override;
  bool allows(PolicyVersion version, const NodeId& sequencer, const store::Record& record) const override;
  /// The same as a sentence for whoever asked. Needs a known version.
  policy::Decision decide(PolicyVersion version, const store::Record& record) const;

 private:
  const Realm& realm_;
};

/// What is asked of a policy about a record.
policy::Request request_of(const store::Record& record);

/// Under which name a record of this person (zero: of the node itself) stands in names and history: as people know the person, cut between characters, or
/// the node's name. Empty: the policy names neither.
std::string who_of(const policy::Policy& policy, const PersonId& person, const NodeId& device);

/// That the record was signed by its device, or by a session of its person for that device, library and time, as the keys of that version say; and that it
/// says so itself: `who` is what shows in history and in the names of conflicts.
Result<void> verify_record(const Realm& realm, PolicyVersion version, const store::SignedRecord& signed_record, const store::Record& record);

/// That the entry's node may write there, and the epoch is the current one, in the version that it names. Faults: not_found (the version is not
/// known here; it is asked for), denied.
Result<void> check_entry(Realm& realm, const store::Entry& entry);

/// Whether the log here may be the one that has this root at this place.
using MayHave = std::function<bool(const FeedId&, Sequence, const Digest& root)>;
struct Cuts {
  std::vector<store::Cut> cuts;
  std::vector<store::Admit> admits;
};
/// Those of one library in the newest policy. A point whose root the log here does not have cuts that log altogether: it is another line.
Cuts cuts_of(const policy::MeshLibrary& library, const MayHave& may_have);

}  // namespace dozo::node

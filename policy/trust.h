// Trust: which of the authority's documents are in force at this node: the client of The Update Framework (specification 1.0.34, 5.1-5.7),
// for documents that come in any order from peers that are not trusted.
//
// It begins with one pinned root, follows the chain of roots, and stages authentic documents until everything that a newer snapshot names, and
// that this node needs, is there and fits; then all of it is in force at once. Until then, and whatever is offered, what was in force
// stays so. Of the documents of one version each is the one that the snapshot hashes: nothing can be mixed.
//
// Give roots first: a document that a root not yet seen would authenticate is refused, and wants() asks for it again.
// Not here: what the documents allow (policy.h), older versions of them (past.h), keeping bytes on a disk, asking peers.
// Threads: one owner. Pure but for its own state; time is a parameter.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "policy/documents.h"
#include "policy/envelope.h"

namespace dozo::policy {

/// What an offered document did.
enum class Outcome : std::uint8_t {
  known,      ///< is in force or staged already, or is a past root
  staged,     ///< authentic, and waits for others of its set
  advanced,   ///< a root, freshness or other node's grants taken into force by itself
  committed,  ///< completed a set: a newer policy is in force
  suspended,  ///< a suspension was taken in
  forked,     ///< authentic, and of the version of another one: HQ, or who has its keys, shows two faces. Not taken; see forks()
};
std::string_view name_of(Outcome outcome);
struct Offer {
  Outcome outcome{};
  DocumentType type{};
  std::string name;
  std::uint64_t version{};
  std::string text;  ///< one line for people
};

/// A document that would help. `needed`: without it the next policy cannot come into force. `sha256` is not known of roots, snapshot and freshness alone.
struct Want {
  std::string name;
  std::uint64_t version{};  ///< exactly this; for freshness: anything above it
  std::optional<Digest> sha256;
  bool needed{};
};

struct Fork {
  std::string name;
  std::uint64_t version{};
  Bytes ours, theirs;  ///< both envelopes: together the evidence
};

/// A consistent set: what one snapshot names, parsed.
struct DocumentSet {
  PolicyVersion version;
  Digest snapshot_sha256;
  Snapshot snapshot;
  Mesh mesh;
  SealedDirectory directory;
  Epochs epochs;
  std::optional<Grants> grants;           ///< this node's; none where the snapshot names none
  std::map<std::string, SealedOrg> orgs;  ///< by document name
  std::optional<SealedSlice> slice;       ///< this node's, where the mesh says that it gets one
  bool begins_chain{};                    ///< the first under new keys of the snapshot role: what the old keys vouched for may be another chain
};

/// How old the word from HQ is. Only ever narrows, and expiry alone stops neither reading nor writing nor sync between entitled nodes.
enum class Standing : std::uint8_t {
  fresh,    ///< freshness is valid
  stale,    ///< freshness has expired: no new suspensions or policies are known
  expired,  ///< root, mesh or another document signed offline has expired: no admissions, no new grants
  locked,   ///< no fresh word for longer than the mesh allows: libraries that it marks are closed
};
std::string_view name_of(Standing standing);
struct Ladder {
  Standing standing{};
  bool may_admit{};                   ///< new nodes and persons, and handing keys on
  bool may_open_locking{true};        ///< libraries with `locks` may be read and written
  std::string text;                   ///< one line: what, since when, what to do
  std::vector<std::string> warnings;  ///< what expires within 60 days
};

/// What is stopped now, and why: an officer's suspension, or one of the policy's own.
struct Stop {
  bool operator==(const Stop&) const = default;
  Stopped whom;
  std::int64_t from_s{}, until_s{};  ///< until_s 0: until a publication without it
  std::string reason;
  std::optional<crypto::VerifyKey> officer;  ///< nothing: the policy role
  std::uint64_t number{};                    ///< of the officer's document
};

/// A document as it is to be kept and passed on.
struct Held {
  DocumentType type{};
  std::string name;
  std::uint64_t version{};
  Digest sha256;
  Bytes envelope;
};

class Trust {
 public:
  /// Judges a complete, authentic, consistent set before it comes into force: the policy's own tests, as far as this node can read them.
  using Check = std::function<Result<void>(const DocumentSet&)>;

  /// Pins the realm. The first root must have version 1 and be signed by itself up to its own thresholds. `self` is the node whose grants are
  /// needed; nothing: one that is not admitted yet, or only looks on. Faults: over_limit, malformed, not_authentic.
  static Result<Trust> begin(ByteView first_root_envelope, std::optional<NodeId> self);
  /// The state as encode() and documents() gave it, in any order. Signatures of roots are checked again, of the rest their hashes in the state.
  /// Faults: malformed, not_authentic, corrupt (a document is missing or does not fit), unsupported.
  static Result<Trust> restore(ByteView state, const std::vector<Bytes>& envelopes, std::optional<NodeId> self);
  Trust(Trust&&) noexcept;
  Trust& operator=(Trust&&) noexcept;
  ~Trust();

  void set_check(Check check);
  /// Whether these people, units and roles are most of the realm's people: asked where a directory is open. An officer stops so many for hours only.
  using MostPeople = std::function<bool(const Stopped&)>;
  void set_most_people(MostPeople ask);
  /// Judges what a unit's administrators signed, before it is honoured ahead of headquarters (orgs_ahead).
  using CheckOrg = std::function<Result<void>(const SealedOrg&)>;
  void set_check_org(CheckOrg check);
  /// Takes one document. Unless the outcome is `advanced`, `committed` or `suspended`, nothing in force has changed and nothing need be persisted.
  /// Faults: over_limit, malformed, not_authentic (below the threshold, wrong realm, wrong hash), stale (older than what is held, or a first
  /// policy that has expired), denied (the set was complete but its check failed; it is dropped), unsupported.
  Result<Offer> offer(ByteView envelope, std::int64_t wall_ms);
  /// What is missing, most urgent first.
  std::vector<Want> wants() const;

  const RealmId& realm() const;
  const Root& root() const;
  /// In force; null before the first set. Valid until the next offer().
  const DocumentSet* current() const;
  /// Newest in force; null before the first set. Its version is what entries name.
  const Freshness* freshness() const;
  PolicyVersion version() const;  ///< 0 before the first set

  /// The greater of `wall_ms` and the highest HQ time that was ever verified and allowed.
  std::int64_t trusted_ms(std::int64_t wall_ms) const;
  Ladder ladder(std::int64_t wall_ms) const;
  /// In force at `wall_ms`: the newest of each emergency key of the newest root that is in date and not lifted, and the policy's own. What an officer stops of
  /// most of the realm (all of it, or more than half of its nodes, libraries or people) counts for wide_s_most in wide_window_s, from when it was taken in
  /// here.
  std::vector<Stop> stops(std::int64_t wall_ms) const;
  /// When the next of them begins or ends. Nothing: none does.
  std::optional<std::int64_t> stops_change_ms(std::int64_t wall_ms) const;
  const std::vector<Fork>& forks() const;
  /// What units have signed since the policy in force was made, by document name. Their own nodes go by it (delegation.h); all pass it on, so that
  /// headquarters lists it.
  std::map<std::string, SealedOrg> orgs_ahead() const;

  /// All that is in force, for keeping and for peers: roots ascending, then freshness, snapshot and what it names, then what units signed
  /// since, then suspensions.
  std::vector<Held> documents() const;
  std::vector<Held> unlisted() const;                         ///< what no snapshot lists: suspensions, then what units signed since
  std::optional<Held> document(std::string_view name) const;  ///< newest in force; "root" the newest root
  std::optional<Held> root_at(std::uint64_t version) const;
  /// Time floor, versions and hashes: small. To be written in one transaction with documents().
  Bytes encode() const;

 private:
  struct State;
  explicit Trust(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace dozo::policy

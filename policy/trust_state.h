// The state behind Trust, and the steps that change it. Internal to the room.
#pragma once
#include <set>
#include <variant>

#include "policy/trust.h"

namespace dozo::policy {

inline constexpr std::size_t staged_freshness_most = 4;
inline constexpr std::size_t staged_per_name_most = 8;
inline constexpr std::size_t staged_bytes_most = 64U << 20;
inline constexpr std::size_t forks_most = 16;
inline constexpr std::uint64_t orgs_ahead_most = 64;  ///< versions beyond the one that is listed

using ParsedDocument = std::variant<Mesh, SealedDirectory, Epochs, Grants, SealedOrg, SealedSlice>;
/// What a verified document that a snapshot names says.
Result<ParsedDocument> parse(const Envelope& envelope);

struct Trust::State {
  std::optional<NodeId> self;
  Check check;
  MostPeople most_people;
  CheckOrg check_org;

  // ---- in force
  RealmId realm;
  std::vector<Held> roots;  ///< version 1, 2, ...
  Root root;                ///< the last of them
  std::optional<DocumentSet> set;
  std::map<std::string, Held> held;  ///< the set's documents and "snapshot"; other nodes' grants as far as they came
  std::optional<Freshness> freshness;
  std::optional<Held> freshness_held;
  std::map<crypto::VerifyKey, std::pair<Held, Suspend>> suspensions;
  /// By document name: signed under the delegations of the policy in force, and newer than what it lists.
  std::map<std::string, std::pair<Held, SealedOrg>> orgs_ahead;
  /// When an officer had most of the realm stopped here, or still has.
  struct Span {
    std::int64_t from_s{}, until_s{};
    std::uint64_t number{};  ///< of the suspension
  };
  std::map<crypto::VerifyKey, std::vector<Span>> wide;
  /// What an officer had suspended before a suspension of most of the realm took that in: it goes on when the hours are over.
  std::map<crypto::VerifyKey, Stop> before_wide;
  std::int64_t floor_s = 0;       ///< no time before it is believed
  std::set<SigningRole> changed;  ///< roles whose keys a root has changed since the set was taken: their versions may begin anew
  std::vector<Fork> forks;

  // ---- staged: authentic under the newest root
  std::map<std::uint64_t, std::pair<Held, Freshness>> staged_freshness;  ///< by version
  std::map<std::string, std::map<Digest, Held>> staged;                  ///< by name
  std::map<Digest, Snapshot> staged_snapshots;
  /// What staged documents say, so that a large one is parsed once. May lack any of them.
  std::map<Digest, ParsedDocument> parsed;
  std::set<Digest> refused;  ///< snapshots whose set failed its check

  Result<Offer> take_root(const Envelope& envelope, Held held);
  Result<Offer> take_freshness(const Envelope& envelope, Held held, std::int64_t wall_ms);
  Result<Offer> take_snapshot(const Envelope& envelope, Held held, std::int64_t wall_ms);
  Result<Offer> take_document(const Envelope& envelope, Held held, std::int64_t wall_ms);
  /// What is signed by no role, but under a delegation of the mesh.
  Result<Offer> take_org(const Envelope& envelope, Held held, std::int64_t wall_ms);
  /// Of what units signed, what the policy in force makes superfluous or no longer delegates.
  void drop_orgs_ahead();
  Result<void> check_orgs(const DocumentSet& next) const;
  Result<Offer> take_suspend(const Envelope& envelope, Held held, std::int64_t wall_ms);
  bool is_wide(const Stopped& whom) const;
  /// Without what makes it wide.
  Stopped narrowed(Stopped whom) const;
  bool is_lifted(const crypto::VerifyKey& officer, std::uint64_t number) const;
  void drop_lifted();
  /// From now on, as far as what the officer has left for these days goes.
  void begin_wide(const crypto::VerifyKey& officer, const Suspend& it, std::int64_t now_s);
  /// The emergency key of the newest root for which a suspension counts: the first of those that signed it; null: none.
  const crypto::VerifyKey* officer_of(const Envelope& suspension) const;

  void put_root(const Root& next, Held held);
  /// Takes the newest complete set into force, if there is one. `offer` becomes what it did.
  Result<Offer> commit_if_complete(Offer offer, std::int64_t wall_ms);
  /// A staged or held document with this hash; null: missing.
  const Held* find(const std::string& name, const Digest& sha256) const;
  /// Of what a snapshot names: all but other nodes' grants and slices. `own_slice`: below.
  bool needs(const std::string& name, const std::string& own_slice) const {
    if (is_slice_name(name)) return name == own_slice;
    return !name.starts_with("grants/") || (self && name == grants_name(*self));
  }
  /// The document with this node's slice, by the mesh that the snapshot names; empty: it has none, or that mesh is not here yet.
  std::string own_slice(const Snapshot& snapshot) const;
  std::string own_slice(const Mesh& mesh) const;
  mutable std::map<Digest, std::string> own_slices;  ///< by the mesh's hash, so that a large one is read once
  void stage(Held held);
  /// Of one that is to be staged: `known` where these very bytes are staged already.
  Outcome staged_or_known(const Held& offered) const;
  Result<void> check_snapshot(const Snapshot& snapshot) const;
  Result<DocumentSet> assemble(const Digest& sha256, const Snapshot& snapshot);
  Result<void> check_set(const DocumentSet& next) const;
  Offer fork(const Held& ours, const Held& theirs, std::string text);
  /// The version that a document may not go below; 0 when the keys of its role have changed, and for those of units (check_orgs).
  std::uint64_t floor_of(const std::string& name) const;
  std::int64_t now_s(std::int64_t wall_ms) const;
  void believe_time(const Freshness& it, const Mesh& mesh);
};

inline Offer offer_of(Outcome outcome, const Held& held, std::string text) { return {outcome, held.type, held.name, held.version, std::move(text)}; }

}  // namespace dozo::policy

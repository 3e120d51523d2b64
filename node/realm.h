// Realm: what this node knows of its realm: the authority's documents, as kept in the truth; the policies that they make, version by version; and the
// epoch keys that they grant to this node.
//
// Documents come in any order, from anybody. What is in force and what completes an older version is kept (with the state of policy::Trust, in one
// transaction) before it is used. A version of the past is fetched when somebody needs it.
// Not here: asking peers, entries.
// Threads: the engine's. Truth and keys outlive it.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "crypto/identity.h"
#include "policy/keys.h"
#include "policy/past.h"
#include "policy/policy.h"
#include "policy/trust.h"
#include "store/truth.h"

namespace dozo::node {

class Realm {
 public:
  static constexpr std::string_view state_name = "trust";  ///< of the local value with the state of policy::Trust

  /// From what the truth has; a new one begins with the pinned first root. `recovered`: keys that came from shares of the recovery key.
  /// Faults: those of Trust::begin and restore, and the store's.
  static Result<std::unique_ptr<Realm>> open(store::Truth& truth, const crypto::NodeKeys& keys, ByteView first_root, policy::KeyRing recovered);

  struct Taken {
    policy::Outcome outcome{};
    bool policy_changed{};  ///< a newer policy is in force
    bool past_changed{};    ///< an older version is known now that was not
    std::string text;
  };
  /// Costs by the envelope alone, unless something comes of it. Faults: those of Trust::offer and Past::offer (denied: of a policy that this node can read its
  /// own tests fail), and the store's (then nothing has changed).
  Result<Taken> offer(ByteView envelope, std::int64_t wall_ms);
  /// Back to what the truth has, if what was believed could not be kept; most often nothing. Every offer begins with it. A fault, the store's: no document
  /// can be verified until it succeeds.
  Result<void> put_back();

  const RealmId& id() const { return trust_.realm(); }
  const policy::Trust& trust() const { return trust_; }
  std::shared_ptr<const policy::Policy> policy() const { return policies_.newest(); }                             ///< null before the first
  std::shared_ptr<const policy::Policy> policy_at(PolicyVersion version) const { return policies_.at(version); }  ///< null: not known here
  /// What this node goes by for those who work at it: the policy in force, and what units of which it is a node have signed since. Only ever used to allow
  /// less, or who begins a session: what is written is judged by the policy that it names. Null before the first policy.
  std::shared_ptr<const policy::Policy> live() const;
  /// That a unit stays within what is delegated to it, beside all that others say, as far as this node can read it. Faults: those of policy::open_policy.
  Result<void> judge_org(const policy::SealedOrg& org) const;
  const policy::KeyRing& keys() const { return keys_; }
  /// With which a node signs: in the newest of the known policies that names it. Nothing: none does.
  std::optional<crypto::VerifyKey> key_of(const NodeId& node) const;

  /// What a node may take for the time, if its clock says that: not before what HQ has signed, offline or as freshness.
  std::int64_t trusted_ms(std::int64_t wall_ms) const;
  /// When the last of the policies that are known here was issued: what is written now is not older. Unlike freshness this is signed by people.
  std::int64_t issued_ms() const { return issued_ms_; }
  /// The clock as its owner saw it last. Until then nobody knows what time it is.
  void set_wall_ms(std::int64_t wall_ms) { wall_ms_ = wall_ms; }
  std::optional<std::int64_t> trusted_now_ms() const { return wall_ms_ ? std::optional(trusted_ms(*wall_ms_)) : std::nullopt; }

  /// What is stopped now, units and roles as the people who hold them. Changes by a document, by a policy, and by time.
  struct StoppedNow {
    std::map<NodeId, std::int64_t> nodes;  ///< and from when on
    std::set<PersonId> people;
    std::set<LibraryId> libraries;
    bool realm{};
    bool operator==(const StoppedNow&) const = default;
  };
  StoppedNow stopped(std::int64_t wall_ms) const;
  StoppedNow stopped_now() const { return wall_ms_ ? stopped(*wall_ms_) : StoppedNow{}; }
  /// When the next of them begins or ends. Nothing: none does.
  std::optional<std::int64_t> stops_change_ms(std::int64_t wall_ms) const { return trust_.stops_change_ms(wall_ms); }
  /// Whether that peer is served nothing, or that library is served to nobody.
  bool is_stopped(const NodeId& peer, const LibraryId& library, std::int64_t wall_ms) const;
  /// What is stopped, one line each, by the names that this node can see.
  std::vector<std::string> stop_lines(std::int64_t wall_ms) const;
  /// Why work in the library is closed at this node: outside of its hours, or in an interruption that was announced. `role`: acted in. One line for people.
  std::optional<std::string> why_closed(const LibraryId& library, std::string_view role, std::int64_t wall_ms) const;
  /// Interruptions at this node that are on or begin within a week, one line each.
  std::vector<std::string> closure_lines(std::int64_t wall_ms) const;
  /// Why nobody here, or not this person (zero: the node itself), may work in the library; one line for people. Nothing: it is not stopped.
  std::optional<std::string> why_stopped(const LibraryId& library, const PersonId& person, std::int64_t wall_ms) const;

  /// Somebody needs this version: wants() asks for what it lacks.
  void need(PolicyVersion version);
  std::vector<policy::Want> wants() const;
  /// All that can be passed on: newest first in importance, by name and version.
  std::vector<policy::Held> documents() const;

 private:
  Realm(store::Truth& truth, const crypto::NodeKeys& keys, policy::Trust trust, policy::KeyRing recovered);
  /// Adds whom the lists of people, units and roles mean now.
  void add_people(const policy::Stopped& whom, std::int64_t wall_ms, std::set<PersonId>& to) const;
  /// What is kept: the state of Trust, if it has begun, and all envelopes.
  struct Kept {
    std::optional<Bytes> state;
    std::vector<Bytes> envelopes;
  };
  static Result<Kept> read(store::Truth& truth);
  void believe(policy::Trust trust);
  Result<void> keep(const std::vector<policy::Held>& documents);
  Result<void> judge(const policy::DocumentSet& set);
  void take_in_force();
  void take_past();
  void open_directories();

  store::Truth& truth_;
  const crypto::NodeKeys& node_keys_;
  policy::Trust trust_;
  policy::Past past_;
  policy::PolicySet policies_;
  policy::KeyRing keys_;
  std::set<PolicyVersion> needed_;
  /// What judge() opened of the set that it passed last: taken over where that comes into force, so that nothing is opened twice.
  struct Judged {
    Digest snapshot_sha256;
    policy::KeyRing granted;
    std::shared_ptr<const policy::Policy> policy;  ///< null: the directory is not for this node
  };
  std::optional<Judged> judged_;
  /// What is stopped, as of a second and of these documents: asked at every message, and people are looked through for it.
  struct StopsAt {
    std::int64_t second{};
    std::vector<policy::Stop> stops;
    std::optional<StoppedNow> stopped;
  };
  mutable std::optional<StopsAt> stops_at_;
  mutable std::shared_ptr<const policy::Policy> live_;  ///< null: to be made anew
  const std::vector<policy::Stop>& stops_at(std::int64_t wall_ms) const;
  std::optional<std::int64_t> wall_ms_;
  std::int64_t issued_ms_ = 0;
  bool unkept_ = false;
};

}  // namespace dozo::node

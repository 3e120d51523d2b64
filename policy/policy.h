// Policy: what one version of the authority's documents allows, and why.
//
// Two kinds of question. About nodes, from the mesh alone, which blind nodes answer too: who holds what, who may write, who may be
// served. About acts of persons, from the directory: default is deny; a forbid beats every permit; the order of rules means nothing; a rule that
// asks for something that the request does not say is in error, and an error is no permit, and in a forbid denies.
// A decision is a function of (policy version, request): the same at every node that can open the directory.
// Not here: how old the policy is (trust.h), suspensions, what an entry is (the store).
// Threads: immutable: const calls from any.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "policy/documents.h"

namespace dozo::policy {

inline constexpr std::string_view service_role = "service";  ///< a node acting by itself, without a person

struct Request {
  PersonId person;   ///< zero: the node itself; the role is then `service`
  std::string role;  ///< the capacity acted in
  std::string org;   ///< the unit in which the role is held; empty: any in which the person holds it
  NodeId node;       ///< at which the act is done: a desk counts as itself, with its bureau's rights to the library
  Action action{};
  LibraryId library;
  std::optional<std::uint32_t> label{0};  ///< of what is acted on; 0: it has none; nothing: not known, and rules about labels are in error
  std::int64_t time_ms{};
  /// Roles in which this same person has acted in the matter before. Nothing: not known, and rules about it are in error.
  std::optional<std::vector<std::string>> acted_as{};
};

struct Decision {
  bool allowed{};
  std::vector<std::string> permits, forbids, errors;  ///< ids of the rules that matched, or were in error; ascending
  std::string reason;                                 ///< one line
  PolicyVersion version;
};

struct Rights {
  bool operator==(const Rights&) const = default;
  Holding holding{};
  bool may_write{};
  std::uint64_t quota_bytes{};
};

/// Where a cut ends a feed.
struct CutEnd {
  PolicyVersion cut;
  Sequence sequence;  ///< entries beyond it are cut, and entries up to it too where the log's root there is not `root` (another branch)
  Digest root;        ///< zero with sequence 0
};

class Rules;  ///< of a directory, made ready for many decisions (rules.h)

class Policy {
 public:
  /// A directory that does not fit the mesh (unknown nodes or libraries in a rule are no fault: they match nothing) is taken as it is.
  Policy(PolicyVersion version, Mesh mesh, std::optional<Directory> directory);

  PolicyVersion version() const { return version_; }
  const Mesh& mesh() const { return mesh_; }
  const Directory* directory() const { return directory_.get(); }  ///< null: this node cannot open it

  // ---- from the mesh: null or none where there is no such thing
  const MeshNode* node(const NodeId& id) const;
  const MeshNode* node_by_transport(const crypto::TransportPublicKey& key) const;
  const MeshNode* node_by_name(std::string_view name) const;
  const MeshLibrary* library(const LibraryId& id) const;
  Rights rights(const NodeId& node, const LibraryId& library) const;  ///< a desk: partial, no feed, where its bureau has keys
  Holding holds(const NodeId& node, const LibraryId& library) const { return rights(node, library).holding; }
  bool may_write(const NodeId& node, const LibraryId& library) const { return rights(node, library).may_write; }
  bool may_receive(const NodeId& node, const LibraryId& library) const { return holds(node, library) != Holding::none; }
  bool has_keys(const NodeId& node, const LibraryId& library) const { return holds(node, library) >= Holding::partial; }
  std::uint64_t quota_bytes(const NodeId& node, const LibraryId& library) const { return rights(node, library).quota_bytes; }
  std::vector<LibraryId> libraries_of(const NodeId& node) const;  ///< ascending
  /// The lowest end that any cut of this (newest) policy sets, admits counted, to entries of the feed which name `named` and concern any of the
  /// subjects (sequencer, device, person). Nothing: none of them is cut there.
  std::optional<CutEnd> cut_of(const FeedId& feed, PolicyVersion named, std::span<const CutSubject> subjects) const;

  // ---- from the directory: null where there is no such thing, or the directory is closed
  const Person* person(const PersonId& id) const;
  const Person* person_by_name(std::string_view name) const;
  const LibraryTitle* title(const LibraryId& id) const;
  const LibraryTitle* library_by_name(std::string_view name_or_title) const;
  /// Role and unit, as posts held at that time give them.
  struct Capacity {
    std::string role, post, org;
    friend auto operator<=>(const Capacity&, const Capacity&) = default;
  };
  std::vector<Capacity> capacities(const PersonId& person, std::int64_t time_ms) const;  ///< ascending

  /// Whether the unit is one of these, or below one.
  bool is_within(const std::string& org, const std::vector<std::string>& units) const;

  Decision decide(const Request& request) const;
  /// The decision in several lines for people, with the names of who and what, and near misses: permits that fit but for one condition.
  std::string explain(const Request& request) const;
  /// The policy's own tests that fail; empty: all hold, or the directory is closed. A test about a node that the mesh does not have is passed over.
  struct FailedTest {
    std::string id, text;
  };
  std::vector<FailedTest> failing_tests() const;

 private:
  PolicyVersion version_;
  Mesh mesh_;
  std::shared_ptr<const Directory> directory_;  ///< shared with copies, as rules_ points into it
  std::map<NodeId, std::size_t> nodes_;
  std::map<crypto::TransportPublicKey, std::size_t> transports_;
  std::map<LibraryId, std::size_t> libraries_;
  std::map<PersonId, std::size_t> people_;
  std::map<std::string, std::size_t, std::less<>> posts_;
  std::map<LibraryId, std::size_t> titles_;
  std::shared_ptr<const Rules> rules_;  ///< null: the directory is closed

  struct Asked;  ///< a request with what the directory says about who asks
  std::optional<std::string> refused_by_mesh(const Request& request) const;
  std::optional<std::string> refused_by_capacity(Asked& asked) const;
  std::optional<std::string> refused_by_ceiling(const Request& request) const;
};

/// The versions that this node knows.
class PolicySet {
 public:
  void put(std::shared_ptr<const Policy> policy);                 ///< replaces one of the same version
  std::shared_ptr<const Policy> at(PolicyVersion version) const;  ///< null: not known here
  std::shared_ptr<const Policy> newest() const;                   ///< null: none
  void drop_above(PolicyVersion version);                         ///< after a reset of the snapshot role's keys
  std::vector<PolicyVersion> versions() const;                    ///< ascending

 private:
  std::map<std::uint64_t, std::shared_ptr<const Policy>> policies_;
};

}  // namespace dozo::policy

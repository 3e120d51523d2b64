// Authority: HQ's side of a simulated realm: makes it, and publishes version after version of its policy, from a plan that the simulator itself keeps and
// judges by.
//
// What it publishes goes through the same source, compiler and authoring as a real realm's.
// Threads: one owner.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "policy/authoring.h"
#include "policy/enrolment.h"

namespace dozo::simulator {

/// What one version of the policy says, by names, as the simulator meant it.
struct Plan {
  struct Member {
    policy::Holding holding{};
    bool may_write{};
    bool operator==(const Member&) const = default;
  };
  struct Node {
    policy::NodeKind kind{};
    std::string zone;
  };
  std::map<std::string, Node> nodes;
  std::map<std::string, std::map<std::string, Member>> libraries;  ///< by library, by node
  std::map<std::string, std::string> homes;                        ///< of libraries
  std::set<std::string> titled;                                    ///< marker words in titles
};

class Authority {
 public:
  Authority(const std::string& title_tag, std::int64_t now_s);

  void admit(const std::string& name, const crypto::NodePublic& keys);
  /// Publishes `plan`: its envelopes, in the order in which a node takes them. `secretly`: a plan that is published in its stead (a planted bug). Ends the
  /// program on a fault: the plan is the simulator's own.
  std::vector<Bytes> publish(const Plan& plan, const policy::Changes& changes, std::int64_t now_s, const Plan* secretly = nullptr);

  /// The next root, in which these roles have new keys, signed by the root keys before and after. What those have signed is signed anew by the next
  /// publication.
  Bytes rotate(const std::set<policy::SigningRole>& roles, std::int64_t now_s);
  /// A copy of the key that this role has now: whoever steals it keeps it.
  crypto::SigningKey stolen(policy::SigningRole role) const { return signing_.at(role).copy(); }
  const std::vector<Bytes>& roots() const { return roots_; }
  const policy::Publication& published() const { return published_; }
  const policy::Publication& published_at(PolicyVersion version) const { return all_.at(version.value); }
  /// What an image of headquarters' folder holds, and going back to it: what was published since is forgotten there.
  struct Folder {
    policy::Publication published;
    PolicyVersion version;
    policy::Mesh mesh;
  };
  Folder folder() const { return {published_, version_, mesh_}; }
  void restore(const Folder& it);

  const Bytes& first_root() const { return first_root_; }
  const RealmId& realm() const { return realm_; }
  LibraryId library(const std::string& name) const { return names_.libraries.at(name); }
  const std::map<std::string, LibraryId>& libraries() const { return names_.libraries; }
  PolicyVersion version() const { return version_; }
  const Plan& plan_at(PolicyVersion version) const { return plans_.at(version.value); }
  const Plan& plan() const { return plans_.at(version_.value); }
  std::vector<Bytes> envelopes() const;
  /// Snapshots, meshes and directories of the versions above `after` and below the newest, newest first: what a node missed that was at `after`.
  std::vector<Bytes> missed(PolicyVersion after) const;
  policy::Contact contact(const std::string& name) const;
  /// Every epoch key of every library.
  policy::KeyRing keys() const;
  crypto::SigningKey freshness_key() const { return signing_.at(policy::SigningRole::freshness).copy(); }
  const policy::Mesh& mesh() const { return mesh_; }
  /// An officer's, for a day.
  Bytes suspend(std::uint64_t number, const policy::Stopped& whom, std::int64_t now_s) const;

  static policy::Addresses addresses_of(const std::string& name) { return {"tcp://" + name + ":1", "tcp://" + name + ":2", "tcp://" + name + ":3"}; }

 private:
  std::string title_tag_;
  policy::Names names_;
  std::map<policy::SigningRole, crypto::SigningKey> signing_;
  crypto::SealKey admission_, recovery_;
  policy::Root root_;
  Bytes first_root_;
  std::vector<Bytes> roots_;  ///< all, the first first
  RealmId realm_;
  PolicyVersion version_;
  policy::Publication published_;
  std::map<std::uint64_t, policy::Publication> all_;
  policy::Mesh mesh_;
  std::map<std::uint64_t, Plan> plans_;
};

}  // namespace dozo::simulator

// Publishing: from an authority's folder to the next version of a realm's policy, signed and kept; and taking newcomers in and nodes out before that.
//
// prepare() changes nothing but the register (ids of new libraries); what it found is for people to read. Then the draft is signed, here or by custodians on
// their own machines (authority_signing.h), and finish() makes it so. Threads: one.
#pragma once
#include "policy/policy.h"
#include "tools/authority_cuts.h"
#include "tools/authority_directory.h"

namespace dozo::tools {

struct Admitted {
  std::string name;
  bool is_node{}, was_known{}, in_source{};  ///< in_source: policy.toml has, or now got, its table
  std::string table;                         ///< for policy.toml, where it is not in it
};
/// With what newcomers are checked. On the day when the key authority's files are lost, a node's signature alone can be, and such a node gets no grants.
enum class Checking : std::uint8_t { all_keys, signature_alone };
/// All of them or, at the first fault, none. `replace`: a known name may get other keys. Faults: denied (another realm), not_authentic (forged, or its maker
/// has not the keys), exists (the name has other keys, or the keys have another name), those of reading.
Result<std::vector<Admitted>> admit(AuthorityDirectory& directory, const std::vector<std::string>& files, bool replace, Checking checking,
                                    const SecretOptions& secret);

/// Who is admitted under that name, or was revoked since the newest publication: of those it can still be said what stays. Nothing: nobody.
Result<std::optional<policy::CutSubject>> subject_named(const AuthorityDirectory& directory, const std::string& name);
/// `name` as in subject_named. `cut`: false leaves all that it wrote. `heads`: where a cut ends what; nothing cuts all of it. Faults: not_found; denied (HQ's
/// only node).
Result<void> revoke(AuthorityDirectory& directory, const std::string& name, bool cut, const std::optional<node::local::Heads>& heads);

struct Prepared {
  policy::DraftFile draft;          ///< nobody has signed what is new in it
  std::vector<std::string> rights;  ///< gained and lost: compare_rights
  std::vector<std::string> absent;  ///< names in the source that nobody is admitted for
  std::vector<std::string> cuts;    ///< one line each
  std::vector<std::string> notes;   ///< new epochs
};
/// What policy.toml says now, as the next version. Faults: malformed (mistakes of the source, one a line), not_found (a home node that is not admitted), those
/// of the keys and of cuts_for.
/// `orgs`: what units have signed, as HQ's node knows it.
Result<Prepared> prepare(AuthorityDirectory& directory, const Cutting& cutting, std::vector<Bytes> orgs, const SecretOptions& secret, std::int64_t now_s);

/// Signs what the draft lacks with keys that are at hand. `folders`: where else they lie. Faults: not_found (too few keys), those of opening them.
Result<void> sign_at_hand(const AuthorityDirectory& directory, policy::DraftFile& draft, const std::vector<std::string>& folders, const SecretOptions& secret);

/// The next root, as nobody has signed it yet. Keys are added to roles and dropped from all; thresholds that are not named stay, as long as there are keys for
/// them.
struct RootChanges {
  std::vector<std::pair<policy::SigningRole, crypto::VerifyKey>> added;
  std::vector<crypto::VerifyKey> dropped;
  std::map<policy::SigningRole, std::uint32_t> thresholds;
  std::optional<crypto::SealPublicKey> admission, recovery;
  std::uint32_t days{};
};
/// Faults: not_found (a dropped key that no role has), exists (an added one that the role has), malformed (a threshold that cannot be met).
Result<policy::DraftFile> draft_root(const AuthorityDirectory& directory, const RootChanges& changes, std::int64_t now_s);

/// "mesh (1 of 2 of policy), ...": what a draft waits for. Empty: nothing.
Result<std::string> missing_signatures(const policy::DraftFile& draft);

/// A draft that lacks nothing: signs snapshot and freshness with keys at hand, checks as a node would, keeps, and renews realm.json. Faults: denied (a
/// signature is missing, or the draft follows what is no longer the newest), not_found (too few keys).
Result<policy::Published> finish(AuthorityDirectory& directory, const policy::DraftFile& draft, const std::vector<std::string>& folders,
                                 const SecretOptions& secret, std::int64_t now_s);

/// A publication by the policy role alone, for the day when the key authority's files are lost: only the mesh changes. Nodes that it adds get no grants and
/// need the shares of the recovery key; nodes that it takes out are no longer served, but no new epoch closes what is written from now on to the keys that they
/// have. Cuts are made as ever. Faults: those of prepare() and finish(); not_found (nothing was published before), denied (a new library, which needs a key).
Result<policy::Published> publish_mesh_alone(AuthorityDirectory& directory, const Cutting& cutting, const std::vector<std::string>& folders,
                                             const SecretOptions& secret, std::int64_t now_s);

/// Roots and newest publication, in the order in which a node takes them. Fault: not_found (nothing published).
Result<std::vector<Bytes>> envelopes_of(const AuthorityDirectory& directory);

}  // namespace dozo::tools

// Publishing: from an authority's folder to the next version of a realm's policy, signed and kept; and taking newcomers in and nodes out before that.
//
// prepare() changes nothing but the register (ids of new libraries); what it found is for people to read; sign() then makes it so.
// Threads: one.
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
  PolicyVersion version;  ///< that it will have, or more
  policy::Compiled compiled;
  std::optional<policy::Publication> previous;
  policy::Changes changes;
  std::vector<std::string> rights;  ///< gained and lost: compare_rights
  std::vector<std::string> absent;  ///< names in the source that nobody is admitted for
  std::vector<std::string> cuts;    ///< one line each
};
/// Faults: malformed (mistakes of the source, one a line), not_found (a home node that is not admitted), those of the keys and of cuts_for.
Result<Prepared> prepare(AuthorityDirectory& directory, const crypto::SealKey& admission, const Cutting& cutting, std::int64_t now_s);

/// Signs, checks as a node would, keeps, and renews realm.json. `folders`: where else keys lie. Faults: those of policy::publish; not_found (too few keys).
Result<policy::Published> sign(AuthorityDirectory& directory, const Prepared& prepared, const crypto::SealKey& admission,
                               const std::vector<std::string>& folders, const SecretOptions& secret, std::int64_t now_s);

/// A publication by the policy role alone, for the day when the key authority's files are lost: only the mesh changes. Nodes that it adds get no grants and
/// need the shares of the recovery key; nodes that it takes out are no longer served, but no new epoch closes what is written from now on to the keys that they
/// have. Cuts are made as ever. Faults: those of prepare() and sign(); not_found (nothing was published before), denied (a new library, which needs a key).
Result<policy::Published> publish_mesh_alone(AuthorityDirectory& directory, const Cutting& cutting, const std::vector<std::string>& folders,
                                             const SecretOptions& secret, std::int64_t now_s);

/// Roots and newest publication, in the order in which a node takes them. Fault: not_found (nothing published).
Result<std::vector<Bytes>> envelopes_of(const AuthorityDirectory& directory);

}  // namespace dozo::tools

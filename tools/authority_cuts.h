// Cuts of a publication: of whom who may no longer write, in which libraries, and after what.
//
// Whoever loses a right can go on naming the policy from before; only a cut ends that (docs/policy.md). What stays is what HQ's node knows, asked when
// somebody is revoked or, for rights that are lost in policy.toml, at the publication.
// Threads: one.
#pragma once
#include <functional>

#include "policy/authoring.h"
#include "policy/policy.h"
#include "tools/authority_directory.h"

namespace dozo::tools {

/// What stays of what somebody wrote who may not write any more, where nothing was said when he was revoked.
enum class Staying : std::uint8_t { known, all, nothing };
struct Cutting {
  Staying staying{};
  /// HQ's node, about somebody. Null: there is none to ask, and `known` is refused where somebody loses.
  std::function<Result<node::local::Heads>(const policy::CutSubject&)> ask;
};

struct Cuts {
  policy::Changes changes;         ///< cuts and admits
  std::vector<std::string> lines;  ///< for people: one for each who loses
};
/// From what was published to `after`. `opened`: what is published, with its directory where the caller has the keys. A library that was out of the newest
/// publication is compared with the last one that had it, and gets that one's cuts and admits back.
/// Faults: malformed (somebody loses, and it was not said what stays), unavailable and others of `ask`, those of the folder.
Result<Cuts> cuts_for(const AuthorityDirectory& directory, const policy::Policy& after, const Cutting& cutting,
                      const std::function<Result<policy::Policy>(PolicyVersion)>& opened, std::int64_t now_s);

}  // namespace dozo::tools

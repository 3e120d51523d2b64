// Delegation: what a unit's own administrators may say, and how that is joined with what headquarters says.
//
// The mesh names a unit, keys, roles and nodes (documents.h, Delegation). What those keys sign stays within: every name that it makes begins with the unit's id
// and "-"; its posts are in the unit or below it and have no roles but those; its people hold its own posts alone; its desks are served by those nodes.
// Whatever reaches further is refused as a whole: by those who sign, by headquarters before it lists it, and by every node that can read it. Not here:
// signatures and versions (trust.h), what the whole allows (policy.h). Threads: pure functions.
#pragma once
#include <span>

#include "policy/keys.h"
#include "policy/policy.h"

namespace dozo::policy {

/// That it stays within its delegation, and meets nobody else's ids, keys and names in `mesh` and `directory`. Fault: denied (who or what, in one line).
Result<void> check_org(const Mesh& mesh, const Directory& directory, const OrgDocument& org);

/// Adds what units say to what headquarters says, in the order of their names. Fault: denied, as above, also where two units meet.
Result<void> join(Mesh& mesh, Directory& directory, std::span<const OrgDocument> orgs);

/// One version of the policy as these keys open it: with a directory, and what its units say, or with the slice of it that there is, or without either.
/// Faults: not_authentic and malformed (a directory or unit's document that is not what it should be), denied (join()).
Result<Policy> open_policy(PolicyVersion version, const Mesh& mesh, const SealedDirectory& directory, const std::map<std::string, SealedOrg>& orgs,
                           const SealedSlice* slice, const KeyRing& keys);

}  // namespace dozo::policy

// Compare: what changes from one policy to the next: for those who sign it to read, and for the cuts that make it so.
//
// Entries are judged by the policy that they name, so whoever loses a right can go on naming the policy from before, in feeds that he begins anew. What ends
// that is a cut (documents.h).
// Not here: where a cut ends which feed, who asks for that.
// Threads: pure functions.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "policy/policy.h"

namespace dozo::policy {

/// One line for each right that one policy gives and the other does not: of nodes (what they hold, whether they may write), and of persons at a time (in
/// capacity, action, library, at its home node); of more than 20 libraries at once one line with their number.
std::vector<std::string> compare_rights(const Policy& before, const Policy& after, std::int64_t time_ms);

/// Who can do something, in which capacity, and by which permits.
struct Able {
  std::string name, shown;  ///< of the person, or the node's
  std::string role, org;    ///< `service` and none: the node by itself
  std::vector<std::string> permits;
  bool operator==(const Able&) const = default;
};
/// At the library's home node, at that time, acting on what has no label: persons by name and capacity, then nodes by themselves (`replicate` is theirs alone).
/// A library that the policy does not have: nobody.
std::vector<Able> who_can(const Policy& policy, Action action, const LibraryId& library, std::int64_t time_ms);

/// Who could write to these libraries, and may not any more.
struct Loss {
  CutSubject subject;
  std::string name;
  std::set<LibraryId> libraries;
};
/// Nodes and persons who lose writing from one policy to the next in libraries that both have; nodes first, then by id.
/// A node: no longer a writing member (a desk: no longer with keys), or a rule lets it, or everybody at it, write no more at that time. Without a directory in
/// both only the mesh is compared. A person: no longer in the directory, and could have written there at any time, since a record's time is its writer's word.
/// Who stays and only loses a post or a permit is not named: other persons and the node go on there, and the cut would name every feed that he wrote in.
std::vector<Loss> lost_rights(const Policy& before, const Policy& after, std::int64_t time_ms);

}  // namespace dozo::policy

// Slice: what a contractor's node gets of the directory: every person, post, rule and test that bears on its libraries, and nobody else. It decides about them
// as the whole does.
//
// A node with a slice (MeshNode::is_sliced) has no key of the directory. Its slice is compiled from what headquarters and units say together, and signed like
// the directory. Not here: sealing (keys.h). Threads: pure functions.
#pragma once
#include "policy/policy.h"

namespace dozo::policy {

/// The libraries of which this node has keys.
std::vector<LibraryId> sliced_libraries(const Mesh& mesh, const NodeId& node);

/// What bears on these libraries, with the header of `whole`. A rule stays where it can fit a request about one of them; of it what is about others is left
/// out. A person stays who holds a post, at any time, in which a permit fits; with all posts. Units stay with those above them.
Directory slice_of(const Directory& whole, const std::vector<LibraryId>& libraries);

/// That both decide alike about these libraries: for every person in every capacity, and without one; every action; at every node that a rule names, and one
/// that none does; every label, known or not; whoever acted before; at every time at which a rule or a post begins or ends, and the second before. Fault:
/// denied (the first request of which they say different things).
Result<void> check_slice(const Policy& whole, const Policy& slice, const std::vector<LibraryId>& libraries);

}  // namespace dozo::policy

// Requests past: the answers to what `dozo` asks of a library's history, but for the log (requests.h).
//
// A commit is named by its whole id, which a record that comes late may take out of the line: then it is not found, and to be looked up again by its time.
// Threads: the engine's.
#pragma once
#include <vector>

#include "node/library.h"
#include "node/local_messages.h"

namespace dozo::node {

/// Faults of all: denied (no keys), not_found, malformed (a path that none can be), the store's.
/// Faults besides: exists (several ids begin so); of a tag unavailable (not all that it names is here), unsupported (a newer format), over_limit.
Result<local::Log> commit_named(Library& library, const local::CommitRequest& request);
Result<local::Listing> list_past(Library& library, const local::ListRequest& request);
Result<local::Stat> stat_past(Library& library, const local::StatRequest& request);
/// Fault besides: unsupported (commits of two lines).
Result<local::Differences> differences(Library& library, const local::DiffRequest& request);
/// What to do so that the place shows again what it showed then; nothing for what it still shows. What goes must have gone before what comes is looked at: one
/// may stand in the other's way.
struct ActsToRestore {
  std::vector<Act> removals, saves;
  std::vector<std::string> left_out;  ///< what cannot be read here, a line each
};
Result<ActsToRestore> acts_to_restore(Library& library, const local::RestoreRequest& request);

}  // namespace dozo::node

// Requests: the answers to what `dozo` asks (local_messages.h), from one library's folder and history.
//
// Not here: requests about the node and its realm (engine.cpp), put (put_job.h).
// Threads: the engine's.
#pragma once
#include "node/library.h"
#include "node/local_messages.h"

namespace dozo::node {

std::string_view name_of(store::ContentKind kind);  ///< as rows have it

/// As shown now. Faults of all: denied (no keys), not_found, the store's.
Result<local::Listing> list(Library& library, const local::ListRequest& request);
/// What is shown of a commit.
local::LogRow row_of(const Library& library, store::HistoryCommit commit);
Result<local::Log> log(Library& library, const local::LogRequest& request);
Result<local::Conflicts> conflicts(Library& library);
Result<local::Stat> stat(Library& library, const local::StatRequest& request);
/// Fault besides: over_limit (of one read), unavailable (a piece that is not here yet).
Result<local::Data> read(Library& library, const local::ReadRequest& request);

}  // namespace dozo::node

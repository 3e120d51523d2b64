// Put job: saves a file, a symlink or a folder of this machine into a library: reads and seals on threads of its own, and asks the engine for the
// record and the commit, batch by batch. What was committed stays, also when a later batch fails.
//
// Not here: what a save does to documents (library.h), how packs are made (store/ingest.h).
// Threads: run() on any thread but the engine's (in the simulator: on it). It is stopped by `stop`, which it
// looks at with every piece that it reads.
#pragma once
#include <atomic>
#include <functional>

#include "node/engine.h"
#include "node/local_messages.h"
#include "node/seen_files.h"

namespace dozo::node {

/// Runs a function on the engine's thread, with the time there, and waits for it; false: the daemon is being stopped, and it did not run.
using OnEngine = std::function<bool(const std::function<void(Engine&, Now)>&)>;

struct PutOptions {
  unsigned workers = 2;  ///< 0: all on the caller's thread, and packs are written there too
  std::function<void(const local::Progress&)> progress;
  const std::atomic<bool>* stop{};
  const SeenFiles* seen{};  ///< none: all is read
};

/// Faults: not_found, denied (the source; the library; policy), over_limit, unavailable (disk full; stopped), the store's.
Result<local::Saved> put(const local::PutRequest& request, const OnEngine& engine, store::Truth& truth, const PutOptions& options);

}  // namespace dozo::node

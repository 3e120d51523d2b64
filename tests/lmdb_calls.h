// LMDB's calls, counted and made to fail: for test programs that list lmdb_calls.cpp among their sources and link with lmdb_calls_wrapped (CMakeLists.txt).
//
// It stands where store/kv_lmdb.cpp calls LMDB, so that what fails is the body of the seam that daemons have, with LMDB's own numbers.
// What it is not: damage. A call that fails once works the next time.
// Threads: one. A child process goes on counting by itself.
#pragma once
#include <cstdint>
#include <map>
#include <string>

namespace dozo::lmdb_calls {

/// "begin", "commit", "get", "put", "del", "cursor open", "cursor get", "stat", "open", "open table".
using Counts = std::map<std::string, std::uint64_t>;
/// From now on; forgets what was counted and what was to fail.
void count();
/// As count(); the n-th call of this operation gives this number instead, and with `stays` all of them after it.
void fail_at(const std::string& operation, std::uint64_t n, int code, bool stays = false);
/// Nothing is counted, nothing fails.
void leave();
Counts counted();

}  // namespace dozo::lmdb_calls

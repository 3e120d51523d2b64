// Kv on LMDB: one folder, mode 0700. Default flags: every commit is synced. The map grows when it is full and no reader is in the way.
// Open a folder once in a process, and never across fork.
#pragma once
#include <filesystem>

#include "store/kv.h"

namespace dozo::store {

struct LmdbOptions {
  std::size_t map_bytes = std::size_t{64} << 30;  ///< address space, not disk
  bool read_only = false;
};

/// Makes the folder where it is missing. Faults: unavailable, corrupt, unsupported (not an LMDB file of this version), denied (permissions).
Result<std::unique_ptr<Kv>> open_lmdb(const std::filesystem::path& folder, std::span<const std::string> tables, const LmdbOptions& options = {});

/// Walks every table in a child process, because a damaged page can kill its reader. Faults: corrupt (named table, or the child's death).
Result<void> check_lmdb_in_child(const std::filesystem::path& folder, std::span<const std::string> tables);

}  // namespace dozo::store

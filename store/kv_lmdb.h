// Kv on LMDB: one folder, mode 0700, with one file of mode 0600. Every commit is synced (but see last_may_be_lost), nothing is mapped for writing.
//
// compact() writes the rows into another file beside this one and puts it in its place (where there are no other tables than those that it was opened with);
// transactions that were open go on in the old one, which has no name any more, until they end.
//
// The map grows at the next write once it is three quarters full or was found full, when no other transaction is open. One process at a time may own a
// folder (whoever opens it sees to that), and a process opens it once and never uses it across fork.
// After a death inside LMDB (the program was killed by a fault of memory access while it had a folder open) the next start calls check_lmdb_in_child
// before it opens: LMDB's own pages carry no checksums, and a damaged one can kill its reader.
#pragma once
#include <filesystem>

#include "store/kv.h"

namespace dozo::store {

struct LmdbOptions {
  std::size_t map_bytes_first = std::size_t{64} << 30;  ///< address space, not disk
  std::size_t map_bytes_most = std::size_t{16} << 40;   ///< it doubles up to here
  bool read_only = false;
  bool last_may_be_lost = false;  ///< a power cut may take back the last commit, the whole of it: one wait for the disk less in each (MDB_NOMETASYNC)
};

/// Makes the folder where it is missing, the tables too; in one that is there, other tables than these are left alone. Faults: not_found (read-only,
/// and nothing there, or an empty file), exists (open in this process already), denied (permissions, or a file system over the network, on which
/// LMDB's locks and maps do not hold), corrupt, unavailable, unsupported (not an LMDB file of this version).
Result<std::unique_ptr<Kv>> open_lmdb(const std::filesystem::path& folder, std::span<const std::string> tables, const LmdbOptions& options = {});

/// Whether the file is shorter than the pages that it says it has: reading on could kill this process, so it is to be checked in a child first. A sound file
/// can be a little shorter (pages that were given back before they were written). Not while the folder is open here. False where nothing can be told.
bool looks_cut(const std::filesystem::path& folder);

/// Walks every table in a child process. A folder or table that is not there is sound. Not while the folder is open here, nor once threads run.
/// Faults: corrupt (which table, or that it crashed), unavailable (also where the child was ended from outside, or had no memory), denied, unsupported.
Result<void> check_lmdb_in_child(const std::filesystem::path& folder, std::span<const std::string> tables);

}  // namespace dozo::store

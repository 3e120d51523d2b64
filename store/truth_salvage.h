// Truth salvage: what can be had from a ruined file of the truth, whatever LMDB makes of it: rows by their frame's magic and hash, packs by their magic and
// address (docs/storage-format.md section 4).
//
// What is found was written here once; that is all. It may have been deleted since, replaced, or never committed, and comes again for each copy in the file.
// Which of it counts is for the caller (node/fsck_salvage.cpp). Untrusted bytes: sizes are capped first, nothing is taken without its hash.
// Threads: one function without state. Memory: some MiB.
#pragma once
#include <filesystem>
#include <functional>

#include "store/truth.h"

namespace dozo::store {

/// Takes what salvage finds; views end with the call. A fault ends the search.
class SalvageSink {
 public:
  virtual ~SalvageSink() = default;
  virtual Result<void> document(const DocumentKey& key, ByteView bytes) = 0;
  virtual Result<void> entry(const Branch& branch, Sequence sequence, ByteView bytes) = 0;
  virtual Result<void> head(const Branch& branch, const HeadRow& head) = 0;
  virtual Result<void> pack_list(const Digest& sha256, ByteView bytes) = 0;
  virtual Result<void> statement(const StatementKey& key, const Statement& statement) = 0;
  /// Has a pack's form and this address. Whether it is one that somebody lists: what only looks like one is searched for what else may lie in it.
  virtual Result<bool> pack(const PackAddress& address, ByteView sealed) = 0;
};

struct SalvageReport {
  std::uint64_t scanned_bytes{}, unreadable_bytes{};
};

/// Told how far it is, at least every 4 MiB.
using SalvageProgress = std::function<void(std::uint64_t bytes, std::uint64_t bytes_total)>;

/// Reads a raw file from end to end; what the disk does not give (EIO) is passed over and counted. Faults: not_found, denied, unavailable (it cannot be opened
/// at all), the sink's.
Result<SalvageReport> salvage(const std::filesystem::path& file, SalvageSink& sink, const SalvageProgress& progress = nullptr);

}  // namespace dozo::store

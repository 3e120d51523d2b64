// Truth salvage: what can be had from a ruined file of the truth, whatever LMDB makes of it: rows by their frame's magic and hash, packs by their magic and
// address (docs/storage-format.md section 4).
//
// What is found may have been deleted since, replaced, or never committed; it comes again for each copy in the file; and whoever may write to a library
// can have put what looks like a row into a pack. So nothing that is found is true by being found: whoever asks verifies it (node/fsck_salvage.cpp).
// Sizes are capped first, nothing is given without its hash.
// Threads: one function without state. Memory: at most 20 MiB.
#pragma once
#include <filesystem>
#include <functional>

#include "store/truth_check.h"

namespace dozo::store {

/// Told what is found; views end with the call. A fault ends the search.
struct SalvageSink {
  /// Any row but the root. Empty: rows are not looked for.
  std::function<Result<void>(TruthTable table, ByteView key, ByteView value)> row;
  /// Whatever has a pack's form, with its address. Whether it is one that somebody lists: in another one what else may lie there is looked for. Empty: packs
  /// are not looked for.
  std::function<Result<bool>(const PackAddress& address, ByteView sealed)> pack;
};

/// Told how far it is, every 4 MiB.
using SalvageProgress = std::function<void(std::uint64_t bytes, std::uint64_t bytes_total)>;

/// Reads a raw file from end to end. How many bytes the disk did not give (EIO), which were passed over. Faults: not_found, denied, unavailable (it cannot be
/// opened at all), the sink's.
Result<std::uint64_t> salvage(const std::filesystem::path& file, const SalvageSink& sink, const SalvageProgress& progress = nullptr);

}  // namespace dozo::store

// Truth check: everything that a node keeps, held against what it must be; and what can be had from a ruined file.
//
// Not here: repairing. Damaged packs are fetched again from replicas, damaged rows dropped by TruthWrite::drop_damaged_rows.
// Threads: like Truth.
#pragma once
#include <filesystem>

#include "store/truth.h"

namespace dozo::store {

enum class TruthFlaw : std::uint8_t {
  pack_damaged,      ///< does not fit its address; also in Truth::damaged_packs
  pack_miscounted,   ///< the table of packs and the list of a library's packs differ
  document_damaged,  ///< missing under its mark, or other bytes
  entry_missing,     ///< below the end of what the feed says it holds
  entry_damaged,     ///< a row that breaks its check
  feed_differs,      ///< entries, subtree hashes, end and head do not fit together
  row_damaged,       ///< head, statement, list or mark
  root_differs,      ///< something under the root is missing, doubled or changed
};
std::string_view name_of(TruthFlaw flaw);

struct TruthReport {
  std::uint64_t documents{}, packs{}, pack_bytes{}, branches{}, entries{};
  std::map<TruthFlaw, std::uint64_t> flaws;  ///< how many of each
  std::vector<std::string> lines;            ///< one for each flaw, the first thousand; ids and addresses, no names
  bool complete = false;                     ///< false: progress said stop
  bool sound() const { return complete && flaws.empty(); }
};

/// Told how many bytes were read so far; false stops.
using TruthProgress = std::function<bool(std::uint64_t bytes)>;

/// Reads everything, in short transactions; what is put meanwhile may be missed. Faults: those of Kv alone; damage is in the report.
Result<TruthReport> check(const Truth& truth, const TruthProgress& progress = nullptr);

/// Takes what salvage finds. A candidate is whole, but may be one that was deleted long ago, and comes again for each copy in the file.
class SalvageSink {
 public:
  virtual ~SalvageSink() = default;
  /// Has a pack's form and this address: whoever asks keeps those that an entry lists, and drops the rest.
  virtual void pack(const PackAddress& address, ByteView sealed) = 0;
  virtual void entry(const Branch& branch, Sequence sequence, ByteView bytes) = 0;
  virtual void document(const DocumentKey& key, ByteView bytes) = 0;
  virtual void head(const Branch& branch, const HeadRow& head) = 0;
};

struct SalvageReport {
  std::uint64_t scanned_bytes{}, unreadable_bytes{}, packs{}, entries{}, documents{}, heads{};
};

/// Reads a raw LMDB file from end to end, whatever its structure looks like. Views given to the sink end with the call.
/// Faults: not_found, denied, unavailable (the file cannot be opened at all).
Result<SalvageReport> salvage(const std::filesystem::path& file, SalvageSink& sink);

}  // namespace dozo::store

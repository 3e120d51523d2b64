// Truth check: every row of the truth as it lies there, whole or damaged, for whoever judges all of it (dozo fsck); and what can be had from a ruined file.
//
// Unlike TruthRead a walk goes on after a damaged row, and does not ask the root. Not here: what rows must say to each other (node/fsck.h); repairing:
// damaged rows are dropped by TruthWrite::drop_damaged_rows, damaged packs are fetched again from replicas.
// Threads: like TruthRead.
#pragma once
#include <filesystem>

#include "store/truth.h"

namespace dozo::store {

/// All but the root's.
enum class TruthTable : std::uint8_t { documents, conflicts, packs, owners, lists, entries, heads, subtrees, statements, locals, usages };
inline constexpr std::size_t truth_table_count = 11;
/// For people: "entries".
std::string_view name_of(TruthTable table);

/// One moment of the truth; all that TruthRead has, too. Typed reading may still fault where a walk over rows does not.
class TruthCheck : public TruthRead {
 public:
  static Result<TruthCheck> begin(const Truth& truth);

  /// Told the key, and the value where the row keeps its check. Packs have none: their address is for the caller to look at.
  using EachRaw = std::function<Result<bool>(ByteView key, const std::optional<ByteView>& value)>;
  /// Every row, ascending, until `each` returns false. Faults: those of Kv and of `each`.
  Result<void> each_raw(TruthTable table, const EachRaw& each);
  Result<std::uint64_t> count(TruthTable table);

  // What a row's key says; nothing: no key of that table.
  static std::optional<DocumentKey> document_of(ByteView key);
  static std::optional<Branch> branch_of(ByteView key);  ///< of a head
  static std::optional<std::pair<Branch, Sequence>> entry_of(ByteView key);
  static std::optional<std::pair<Branch, crypto::SubtreeId>> subtree_of(ByteView key);
  static std::optional<std::pair<LibraryId, PackAddress>> owner_of(ByteView key);

 private:
  using TruthRead::TruthRead;
};

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

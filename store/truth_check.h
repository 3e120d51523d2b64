// Truth check: every row of the truth as it lies there, whole or damaged, for whoever judges all of it (dozo fsck).
//
// Unlike TruthRead a walk goes on after a damaged row, and does not ask the root. Not here: what rows must say to each other (node/fsck.h); repairing:
// damaged rows are dropped by TruthWrite::drop_damaged_rows, damaged packs are fetched again from replicas.
// Threads: like TruthRead.
#pragma once
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
  static std::optional<DocumentKey> conflict_of(ByteView key);  ///< the document that a row of `conflicts` is another one of
  static std::optional<HeadRow> head_in(ByteView value);        ///< what the value of a row of `heads` says

 private:
  using TruthRead::TruthRead;
};

}  // namespace dozo::store

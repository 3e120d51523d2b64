// Truth: what a node must not lose, as typed rows of one Kv: authority documents, feeds (entries, heads, subtree hashes), packs and their lists,
// statements, and a few small values of the node's own. Everything else that a node keeps is derived from it.
//
// docs/storage-format.md section 4 has the tables. What is read is checked: rows by their seal of eight to sixteen hash bytes, documents and pack lists by
// their SHA-256, packs by their address where the caller asks for it (pack_checked). Absence is checked too: one sealed root value counts and hashes the
// marks of documents, the heads, the statements, the local values and, from format 2 on, the usages, and a miss in those is believed only where the root's
// count agrees with the table's.
// Not here: whether a document, entry or pack may be taken (policy, feed.h, pack_seal.h): callers verify before they put.
// Faults beside those of Kv: corrupt (what is stored breaks its check: names the table, heals by putting it again or by fsck).
// Threads: a Truth may be shared; a TruthRead or TruthWrite has one owner. It must outlive them, and Kv and Sealer must outlive it.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "crypto/merkle.h"
#include "store/kv.h"
#include "store/truth_root.h"

namespace dozo::store {

struct DocumentKey {
  std::string type;  ///< "mesh"; 1 to 32 bytes
  std::string name;  ///< "", or which of the type; at most 255 bytes
  std::uint64_t version{};
  friend auto operator<=>(const DocumentKey&, const DocumentKey&) = default;
};
struct DocumentMark {
  DocumentKey key;
  Digest sha256;
  std::uint64_t size_bytes{};
  bool operator==(const DocumentMark&) const = default;
};

/// One line of a feed: the feed, and for the second and later lines of a forked one what the caller tells them apart by. Zero: the line seen first.
struct Branch {
  Branch() = default;
  Branch(const FeedId& which) : feed(which) {}  // NOLINT: a feed that was never forked is its one branch
  Branch(const FeedId& which, const Digest& line) : feed(which), fork(line) {}
  FeedId feed;
  Digest fork;
  friend auto operator<=>(const Branch&, const Branch&) = default;
};

inline constexpr std::size_t head_proof_most = 130;

/// Where a branch stands: the newest signed head that is known, and the end of what is held (FeedTail::encode).
struct HeadRow {
  std::string note;
  Bytes tail;
  std::vector<Digest> proof;  ///< from the tail to the head, where the head covers more than is held; at most head_proof_most
  bool operator==(const HeadRow&) const = default;
};

struct StatementKey {
  LibraryId library;
  NodeId signer;
  std::string subject;  ///< at most 128 bytes
  friend auto operator<=>(const StatementKey&, const StatementKey&) = default;
};
struct Statement {
  std::uint64_t number{};
  Bytes bytes;
  bool operator==(const Statement&) const = default;
};

struct PackUsage {
  std::uint64_t count{}, bytes{};
  bool operator==(const PackUsage&) const = default;
};

/// What became of something that may be here already.
enum class Kept : std::uint8_t {
  added,
  same,      ///< these very bytes were here
  conflict,  ///< other bytes stand at this place; these are kept beside them as evidence where the function says so
  older,     ///< a newer one is here; nothing was written
};

class Truth;

/// One moment of the truth. Views that it hands out end with it, and in a TruthWrite with the next write.
class TruthRead {
 public:
  TruthRead(TruthRead&&) noexcept;
  virtual ~TruthRead();

  // ---- documents -----------------------------------------------------------------------------------------------------
  Result<std::optional<ByteView>> document(const DocumentKey& key);  ///< the first that was put under this version
  Result<std::optional<std::uint64_t>> newest_version(std::string_view type, std::string_view name);
  Result<std::vector<DocumentMark>> marks();                                 ///< ascending; without evidence of conflicts
  Result<std::vector<Bytes>> conflicting_documents(const DocumentKey& key);  ///< what was put under the same version later, ascending by SHA-256

  // ---- packs ---------------------------------------------------------------------------------------------------------
  Result<bool> has_pack(const PackAddress& address);
  Result<std::optional<ByteView>> pack(const PackAddress& address);  ///< not checked: for slices, where the whole was checked before
  /// Fault: corrupt, and the address is in Truth::damaged_packs from then on.
  Result<std::optional<ByteView>> pack_checked(const PackAddress& address);
  using EachPack = std::function<Result<bool>(const PackAddress&, std::uint32_t size_bytes)>;
  /// Ascending, after `after` where that is given, until `each` returns false.
  Result<void> each_pack(const LibraryId& library, const EachPack& each, const std::optional<PackAddress>& after = std::nullopt);
  Result<PackUsage> usage(const LibraryId& library);  ///< where its row is lost or damaged: counted from its packs'
  Result<std::optional<ByteView>> pack_list(const Digest& sha256);

  // ---- feeds ---------------------------------------------------------------------------------------------------------
  Result<std::optional<ByteView>> entry(const Branch& branch, Sequence sequence);
  using EachEntry = std::function<Result<bool>(Sequence, ByteView)>;
  Result<void> each_entry(const Branch& branch, Sequence first, const EachEntry& each);
  Result<std::optional<HeadRow>> head(const Branch& branch);
  using EachHead = std::function<Result<bool>(const Branch&, const HeadRow&)>;
  Result<void> each_head(const EachHead& each);                            ///< ascending by branch
  Result<void> each_head(const LibraryId& library, const EachHead& each);  ///< of one library
  Result<std::optional<Digest>> subtree(const Branch& branch, const crypto::SubtreeId& id);
  crypto::Fetch subtrees(const Branch& branch);  ///< for proofs; usable as long as this. Fault besides: corrupt where one is missing

  // ---- statements, local values --------------------------------------------------------------------------------------
  Result<std::optional<Statement>> statement(const StatementKey& key);
  using EachStatement = std::function<Result<bool>(const StatementKey&, const Statement&)>;
  Result<void> each_statement(const LibraryId& library, const EachStatement& each);
  Result<std::optional<ByteView>> local(std::string_view name);  ///< 1 to 255 bytes of name

  /// Counts and hashes everything under the root anew. Fault: corrupt, naming what does not agree.
  Result<void> verify_root();

 protected:
  friend class Truth;
  friend class TruthCheck;
  TruthRead(const Truth& truth, std::unique_ptr<ReadTransaction> transaction);
  Result<std::optional<ByteView>> row(Table table, ByteView key);  ///< checked, without what surrounds it; a miss is believed where the root agrees
  /// Rows whose keys have this beginning, checked, ascending, from `from` on (empty: the first), until `each` returns false.
  using EachRow = std::function<Result<bool>(ByteView key, ByteView value)>;
  Result<void> each_row(Table table, ByteView beginning, ByteView from, const EachRow& each);
  Result<bool> counts(Table table);
  Result<void> believe_miss(Table table);  ///< Fault: corrupt where the root counts otherwise
  Result<const RootValue*> root();
  Result<PackUsage> usage_row(const LibraryId& library);
  Result<TableSum> counted(Table table);
  Result<void> verify(Table table);                ///< as verify_root, of one
  Result<RootValue> counted(std::uint8_t format);  ///< what the root must be, from the rows that are there
  const Truth* truth_;
  std::unique_ptr<ReadTransaction> transaction_;
  std::optional<RootValue> root_;
};

/// A batch that is committed as one. After a fault, and when it is destroyed without commit(), nothing of it was done.
class TruthWrite : public TruthRead {
 public:
  TruthWrite(TruthWrite&&) noexcept;
  ~TruthWrite() override;

  /// A conflict is kept as evidence. Fault: over_limit (names).
  Result<Kept> put_document(const DocumentKey& key, ByteView bytes);
  Result<bool> erase_document(const DocumentKey& key);  ///< with its evidence

  /// The caller has checked address and header. Over a damaged one it heals it. Fault: malformed (shorter than a pack's header).
  Result<Kept> put_pack(const PackAddress& address, ByteView sealed);
  Result<bool> erase_pack(const PackAddress& address);
  Result<void> put_pack_list(const Digest& sha256, ByteView bytes);  ///< the caller has checked the hash
  Result<bool> erase_pack_list(const Digest& sha256);

  /// added or same. Fault: exists (another entry stands there: a fork, which belongs in a branch of its own).
  Result<Kept> put_entry(const Branch& branch, Sequence sequence, ByteView bytes);
  Result<void> put_head(const Branch& branch, const HeadRow& head);
  Result<void> put_subtree(const Branch& branch, const crypto::SubtreeId& id, const Digest& hash);
  /// For Frontier::append; usable as long as this. A fault inside it comes back from commit().
  crypto::Frontier::Keep keep_subtrees(const Branch& branch);

  /// added, same, older, or conflict: the same number with other bytes, and nothing was written.
  Result<Kept> put_statement(const StatementKey& key, const Statement& statement);
  Result<bool> erase_statement(const StatementKey& key);
  Result<void> put_local(std::string_view name, ByteView sealed);
  Result<bool> erase_local(std::string_view name);

  // ---- after damage: for fsck alone ----------------------------------------------------------------------------------
  /// Drops the rows that break their check, of every table but that of packs, and makes the root agree with what is left. What was dropped must come back from
  /// elsewhere. How many rows went.
  Result<std::uint64_t> drop_damaged_rows();
  /// Ends a branch at `last`: entries beyond it are put aside (set_aside), subtree hashes beyond it go, and the head is this, or none.
  Result<void> set_back(const Branch& branch, Sequence last, const std::optional<HeadRow>& head);
  /// Where set_back keeps entries: no head stands there, so that nothing reads them, yet they are not lost.
  static Branch set_aside(const Branch& branch);
  Result<bool> erase_entry(const Branch& branch, Sequence sequence);
  /// Makes the lists and counts of each library's packs agree with the packs that are there. How many rows changed.
  Result<std::uint64_t> recount_packs();

  void expect_no_reads() { writing_->expect_no_reads(); }  ///< as in kv.h
  /// Durable when it returns without fault. Nothing may be called afterwards.
  Result<void> commit();

 private:
  friend class Truth;
  TruthWrite(const Truth& truth, std::unique_ptr<WriteTransaction> transaction);
  Result<void> put_row(Table table, ByteView key, ByteView value);
  Result<bool> erase_row(Table table, ByteView key);
  Result<void> recount_usages();
  Result<void> count_pack(const LibraryId& library, std::int64_t packs, std::int64_t bytes);
  WriteTransaction* writing_;
  bool root_changed_ = false;
  std::optional<Error> late_fault_;
  std::vector<PackAddress> healed_;
};

class Truth {
 public:
  static std::span<const std::string> tables();  ///< to open the Kv with

  /// A new one. Fault: exists (there is something in the Kv).
  static Result<std::unique_ptr<Truth>> create(Kv& kv, const Sealer& sealer);
  /// Compares the root's counts with the tables'. Faults: not_found (nothing was ever created here), corrupt (they differ, or the root is
  /// gone or does not open).
  static Result<std::unique_ptr<Truth>> open(Kv& kv, const Sealer& sealer);
  /// As open, but whatever the root says: for fsck alone, which goes on to drop_damaged_rows.
  static Result<std::unique_ptr<Truth>> open_damaged(Kv& kv, const Sealer& sealer);

  Result<TruthRead> read() const;
  Result<TruthWrite> write() const;

  /// One of an older format is read and written as it is, until it is migrated: to a newer one or back, which changes what the root counts and nothing else,
  /// all of it or nothing. Faults: unsupported (no such format), corrupt (it is not what its root says: fsck).
  Result<std::uint8_t> format() const;
  Result<void> migrate(std::uint8_t format) const;

  /// Packs that were found not to fit their address and were not put again since. For this run of the program.
  std::vector<PackAddress> damaged_packs() const;

 private:
  friend class TruthRead;
  friend class TruthWrite;
  friend class TruthCheck;
  Truth(Kv& kv, const Sealer& sealer) : kv_(kv), sealer_(sealer) {}
  Kv& kv_;
  const Sealer& sealer_;
  mutable std::mutex mutex_;
  mutable std::set<PackAddress> damaged_;
};

}  // namespace dozo::store

// The inside of fsck, shared by its sources. Private to node/fsck*.cpp.
#pragma once
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "node/fsck.h"
#include "node/library.h"
#include "node/realm.h"
#include "store/kv_lmdb.h"
#include "store/truth_check.h"
#include "store/truth_salvage.h"

namespace dozo::node {

/// The node's own seal; without keys one that opens nothing.
class FsckSealer final : public store::Sealer {
 public:
  explicit FsckSealer(const crypto::LocalKey* key) : key_(key) {}
  Bytes seal(ByteView plain, ByteView associated) const override;
  Result<Bytes> open(ByteView sealed, ByteView associated) const override;

 private:
  const crypto::LocalKey* key_;
};

class Fsck {
 public:
  Fsck(const Home& home, const HomeKeys* keys, const FsckOptions& options)
      : home_(home), keys_(keys), options_(options), sealer_(keys ? &keys->local : nullptr) {}
  Result<FsckReport> run();

 private:
  Result<void> look();

  // ---- what was found ------------------------------------------------------------------------------------------------
  void find(FsckKind kind, FsckState state, std::string text);
  void damage(FsckKind kind, std::string text) { find(kind, FsckState::damaged, std::move(text)); }
  void note(FsckKind kind, std::string text) { find(kind, FsckState::note, std::move(text)); }
  /// Damage that a rebuild deals with in this way.
  void damage_that(FsckState with_rebuild, FsckKind kind, std::string text) {
    find(kind, options_.rebuild ? with_rebuild : FsckState::damaged, std::move(text));
  }
  void tell(std::string_view step, std::uint64_t bytes = 0, std::uint64_t bytes_total = 0);

  // ---- the truth, but for packs (fsck_truth.cpp) ---------------------------------------------------------------------
  /// One branch of a feed, as its entries make it.
  struct Line {
    explicit Line(const FeedId& feed) : tail(feed) {}
    store::FeedTail tail;                   ///< over the entries that are here without a gap
    std::uint64_t rows{};                   ///< entries that are here, whole or not
    std::optional<std::string> broken;      ///< why the line ends before its rows do
    std::optional<Sequence> first_foreign;  ///< the first entry that its own stored hash denies
    std::uint64_t hashes{};                 ///< stored
    bool hashes_differ{}, has_head{};
  };
  struct SetBack {
    store::Branch branch;
    Sequence last;
    std::optional<store::HeadRow> head;
  };
  struct Listed {
    PackAddress address;
    std::uint32_t size_bytes{};
    crypto::PackKind kind{};
    Epoch epoch;
    LibraryId library;
  };
  struct Committed {
    Digest record;
    const store::Branch* branch;
    Sequence sequence;
  };
  Result<void> check_rows(store::TruthCheck& in);
  Result<void> check_root(store::TruthCheck& in);
  Result<void> check_documents(store::TruthCheck& in);
  Result<void> mend_rows();
  Result<void> mend_documents();
  Result<void> check_entries(store::TruthCheck& in);
  void take_entry(store::TruthCheck& in, const store::Branch& branch, Line& line, Sequence sequence, const std::optional<ByteView>& bytes);
  /// What the entry lists; nothing: its list is not here, or damaged.
  std::optional<std::vector<store::PackListing>> listings(store::TruthCheck& in, const store::Entry& entry);
  Result<void> check_heads(store::TruthCheck& in);
  Result<void> check_head(store::TruthCheck& in, const store::Branch& branch, const store::HeadRow& row, Line& line);
  Result<store::FeedTail> tail_at(store::TruthCheck& in, const store::Branch& branch, Sequence last);
  /// For an end that was set back. Nothing: the feed's head comes from elsewhere.
  std::optional<store::HeadRow> head_for(const store::FeedTail& tail, const std::optional<std::string>& good_note) const;
  std::optional<store::Head> open_head(const FeedId& feed, const std::string& note) const;
  Result<void> mend_feeds();
  Result<void> put_hashes(const store::Branch& branch);
  /// The branch whose entries a rebuild put aside here; nothing: this is no such place.
  std::optional<store::Branch> aside_of(const store::Branch& branch) const;
  Result<void> sweep_aside();

  // ---- packs (fsck_packs.cpp) ----------------------------------------------------------------------------------------
  Result<void> check_packs();
  Result<void> check_pack(store::TruthCheck& in, const PackAddress& address);
  Result<void> open_pack(const Listed& listed, ByteView sealed);
  Result<void> flush_index();
  Result<void> check_counts(store::TruthCheck& in);
  Result<void> check_records(store::TruthCheck& in);
  Result<void> mend_packs();

  // ---- what is derived (fsck_derived.cpp) ----------------------------------------------------------------------------
  Result<void> open_realm();
  Result<void> check_libraries();
  Result<void> check_view(store::Kv& stored, Library& anew);
  Result<void> check_history_view(store::Kv& stored, Library& anew);
  Result<void> check_contents(Library& library);
  Result<void> check_index(store::Kv& stored);
  Result<void> confirm_places(std::vector<std::pair<Bytes, PackAddress>>& places, std::uint64_t& wrong);
  Result<void> check_history(store::Kv& stored, const LibraryId& id, store::History& anew);
  Result<void> check_history_rows(store::Kv& stored);
  std::filesystem::path scratch_path() const { return home_.path / "derived.fsck"; }
  Result<void> swap_derived();

  Result<bool> open_truth();  ///< false: there is none, or it cannot be read
  // ---- a truth in ruins (fsck_salvage.cpp) ---------------------------------------------------------------------------
  struct SalvagedEnd {
    store::HeadRow row;
    store::FeedTail tail;
    std::uint64_t covered{};  ///< by the head
  };
  /// What was found of one feed that its node signed for.
  struct SalvagedFeed {
    /// By their sequence. None: two that differ, of which one was never committed, and nobody can say which.
    std::map<Sequence, std::optional<SalvagedEnd>> ends;
    std::map<Sequence, std::vector<Bytes>> others;  ///< entries beside the one that is in the new truth
    std::size_t others_count{};
  };
  using SalvagedFeeds = std::map<FeedId, SalvagedFeed>;
  /// Makes a new truth, which is looked at instead of the ruined one from then on, with the documents. Faults: exists (ruins of an earlier time are there),
  /// unavailable, those of store::salvage.
  Result<void> begin_salvage(const Error& why);
  Result<void> salvage_feeds();  ///< once the policy is known: feeds and packs
  Result<void> end_salvage();
  Result<void> find_ends(SalvagedFeeds& feeds);
  Result<void> find_entries(SalvagedFeeds& feeds);
  Result<std::optional<SalvagedEnd>> settle_end(const FeedId& feed, SalvagedFeed& found);
  store::SalvageProgress told(std::string_view step);
  std::filesystem::path ruined_path() const { return home_.truth().string() + ".ruined"; }
  std::filesystem::path salvaged_path() const { return home_.truth().string() + ".fsck"; }

  const Home& home_;
  const HomeKeys* keys_;
  const FsckOptions& options_;
  FsckReport report_;
  FsckSealer sealer_;
  std::chrono::steady_clock::time_point told_;
  NodeId self_;

  std::optional<std::string> salvaging_;  ///< why the truth is in ruins, while a new one is made of it
  std::uint64_t salvage_lost_bytes_ = 0;
  std::unique_ptr<store::Kv> truth_kv_;
  std::unique_ptr<store::Truth> truth_;
  bool looked_ = false;         ///< there is a truth
  bool truth_differs_ = false;  ///< rows, root or documents: a rebuild mends them first
  bool documents_differ_ = false, has_policy_ = false;
  std::vector<store::DocumentKey> bad_documents_;
  std::map<NodeId, std::vector<crypto::VerifyKey>> node_keys_;  ///< of every policy version that is known here
  std::map<store::Branch, Line> lines_;
  std::vector<SetBack> set_back_;
  std::vector<store::Branch> to_hash_;
  bool listings_complete_ = true;
  std::vector<Listed> listed_;  ///< by any entry that can be read; ascending once all are there
  std::vector<Committed> committed_;

  std::vector<PackAddress> damaged_packs_, unlisted_;
  std::uint64_t unlisted_bytes_ = 0, listed_found_ = 0, bytes_total_ = 0;
  bool packs_miscounted_ = false;
  std::map<LibraryId, store::PackUsage> usages_;
  std::set<Digest> commitments_;
  std::set<PackAddress> unopened_;  ///< for want of a key, or because they do not open
  std::vector<DerivedIndex::Pack> to_index_;
  LibraryId to_index_library_;

  std::unique_ptr<Realm> realm_;
  std::unique_ptr<store::Kv> scratch_, stored_;
  bool derived_in_ruins_ = false, derived_complete_ = true, history_behind_ = false;
};

/// "feed 1a2b3c4d/5e6f7a8b/9c0d1e2f": library, node, incarnation.
std::string feed_text(const FeedId& feed);
template <class Id>
std::string short_text(const Id& id) {
  return id.hex().substr(0, 16);
}

}  // namespace dozo::node

// The inside of Library, shared by its sources. Private to library*.cpp: feeds, packs, saving, and in library.cpp what keys allow.
#pragma once
#include <limits>
#include <ranges>

#include "node/library.h"
#include "node/rights.h"

namespace dozo::node {

class Library::Body {
 public:
  /// One line of a feed: of an honest node's feed there is one.
  struct Feed {
    store::FeedTail tail;
    std::string note;           ///< the newest head
    std::vector<Digest> proof;  ///< that it continues the tail, where it covers more
    Sequence held;
    PolicyVersion highest;                                              ///< of the entries so far
    std::vector<std::uint64_t> listed_bytes;                            ///< of the packs that each and those before it list
    std::int64_t first_ms{};                                            ///< time of the first, as its node claims
    std::set<PolicyVersion> policies;                                   ///< that they name
    std::map<std::uint64_t, std::set<PackAddress>> lacking;             ///< by entry: packs that are missing
    std::int64_t latest_ms = std::numeric_limits<std::int64_t>::min();  ///< of the entries so far
  };
  /// What an entry says of a pack that it lists. Any member may list any address, so what is said may be false; the bytes decide.
  struct Claim {
    std::uint32_t size_bytes{};
    crypto::PackKind kind{};
    Epoch epoch;
    friend auto operator<=>(const Claim&, const Claim&) = default;
  };
  struct Wanted {
    std::set<Claim> claims;  ///< that were not proved false by the pack itself
    std::set<std::pair<store::Branch, std::uint64_t>> by;
    std::int64_t not_before_ms{}, step_ms{};  ///< nobody had it: not asked for until then
  };
  /// An entry with what must be read for it to be known, so that nothing can fail once it is durable.
  struct Fresh {
    store::Entry entry;
    std::vector<store::PackListing> packs;
    std::vector<bool> here;  ///< of each pack
  };
  struct Carrier {
    store::Branch branch;
    Sequence sequence;
    PolicyVersion policy, highest_before;
    bool authentic{};
    std::int64_t time_ms{}, latest_before_ms{};
    std::optional<store::Refusal> refusal;  ///< as judged last
  };
  struct Known {
    store::Record record;
    store::SignedRecord signed_record;
    std::vector<Carrier> carriers;
    std::optional<store::Refusal> refusal;  ///< nothing: accepted
  };
  /// An entry whose record has not been seen yet.
  struct Unopened {
    Carrier carrier;
    Digest commitment;
    std::vector<PackAddress> meta;
  };

  Body(const LibraryContext& context, const LibraryId& id)
      : context_(context),
        id_(id),
        incarnation_(context.incarnation),
        index_(context.derived, context.local, id),
        pieces_(context.truth, context.realm, id, index_),
        rights_(context.realm) {}

  /// Cuts as they bear on one line, for as long as nothing is judged anew.
  using CutsByLine = std::map<store::Branch, Cuts>;

  auto lines(const FeedId& id) const { return std::ranges::subrange(feeds_.lower_bound(store::Branch(id)), feeds_.upper_bound(last_branch(id))); }
  bool is_forked(const FeedId& id) const;
  Result<bool> on_line(const store::Branch& branch, const Feed& feed, Sequence sequence, const Digest& root) const;
  Result<Lists> walk(const Point& point, Sequence from, const Batch& batch, const crypto::VerifyKey& key);
  Result<std::vector<Bytes>> entries_of(const store::Branch& branch, Sequence from, std::uint64_t count) const;
  Result<Lists> put_batch(const store::Branch& branch, store::FeedTail tail, Sequence from, const Batch& batch, const crypto::VerifyKey& key);
  Result<crypto::VerifyKey> writer_key(const FeedId& id, std::span<const Bytes> entries) const;
  Result<void> load();
  Result<std::vector<store::PackListing>> listings(const store::Entry& entry, store::TruthRead& in) const;
  Result<Fresh> read_fresh(store::Entry entry, store::TruthRead& in) const;
  void know_entry(const store::Branch& branch, Feed& feed, Fresh fresh);
  std::uint64_t listed_bytes(const NodeId& node) const;
  std::optional<std::uint64_t> quota(const NodeId& node) const;
  Sequence uncut(const store::Branch& branch, const Feed& feed) const;
  std::map<store::Branch, Sequence> fetched_to(std::set<NodeId>* beyond = nullptr) const;
  void settle(Feed& feed);

  bool has_keys() const;
  const policy::MeshLibrary* mesh() const;
  store::NameRule rule() const;
  Cuts cuts(const store::Branch& branch) const;

  void derive(bool judge_all);  ///< all that keys allow: index, records, folder. A fault stays in `behind_`
  Result<void> derive_now(bool judge_all);
  Result<void> load_suspended();
  Result<void> note_suspended();
  Result<void> index_packs(std::span<const PackAddress> addresses);
  std::set<RecordId> open_records();  ///< those whose meta packs are here; which
  Result<std::optional<store::SignedRecord>> find_record(const Unopened& entry) const;
  std::optional<RecordId> know_record(const store::SignedRecord& signed_record, const Carrier& carrier);
  std::optional<store::Refusal> refusal_of(const RecordId& id, const Known& known, const Carrier& carrier, CutsByLine& cuts,
                                           std::optional<std::int64_t> trusted_ms) const;
  void take(const RecordId& id, const Known& known);
  std::int64_t entry_ms(std::int64_t wall_ms) const;
  std::uint64_t last_hlc() const { return accepted_.empty() ? 0 : accepted_.rbegin()->first.hlc; }
  void judge(const std::set<RecordId>& which);  ///< brings the accepted set and the folder to what the newest policy says of these

  static store::Branch last_branch(const FeedId& id) {
    store::Branch out(id);
    out.fork.bytes.fill(0xff);
    return out;
  }

  LibraryContext context_;
  LibraryId id_;
  IncarnationId incarnation_;
  DerivedIndex index_;
  IndexedPieces pieces_;
  PolicyRights rights_;
  std::map<store::Branch, Feed> feeds_;
  std::set<std::pair<store::Branch, Digest>> not_from_;   ///< entries that came for a point of that root did not continue this line
  std::map<std::pair<FeedId, Digest>, Sequence> walked_;  ///< for such a point: up to here it is the same as the first line
  std::map<PackAddress, Wanted> missing_;
  std::set<PackAddress> unindexed_;  ///< listed, here, and not in the index: for want of a key, or since the start
  std::set<PackAddress> unsound_;    ///< of those: opened, and not what a pack must be
  std::map<std::pair<store::Branch, std::uint64_t>, Unopened> unopened_;
  std::map<RecordId, Known> records_;
  std::map<store::Stamp, RecordId> accepted_;
  std::optional<store::Folder> folder_;
  std::optional<Error> behind_;
  std::set<std::pair<store::Branch, std::uint64_t>> refused_at_;  ///< entries whose record does not count, or is not there
  /// Of nodes that are suspended: how far each of their lines was known when that was first seen here. What is beyond waits. Also in the truth.
  std::map<NodeId, std::map<store::Branch, Sequence>> suspended_;
  std::set<NodeId> suspended_unsaved_;                 ///< of whom the truth says something else
  std::set<std::pair<std::int64_t, RecordId>> ahead_;  ///< records that wait for their time, by when that is
  std::uint64_t entry_count_ = 0;

  // History, and the folder as its last commit shows it; both only once somebody asked.
  std::optional<store::History> history_;
  std::optional<store::Folder> history_folder_;
  std::optional<store::Stamp> history_dirty_;  ///< the lowest stamp at which it may differ from the accepted records
};

}  // namespace dozo::node

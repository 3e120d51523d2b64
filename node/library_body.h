// The inside of Library, shared by its sources. Private to library*.cpp: feeds, packs, records, history, saving.
#pragma once
#include <array>
#include <deque>
#include <limits>
#include <ranges>

#include "node/library.h"
#include "node/library_rows.h"
#include "node/rights.h"

namespace dozo::node {

class Library::Body final : public store::RecordSource {
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
  /// An entry whose record has not been taken in yet.
  struct Unopened {
    Carrier carrier;
    Digest commitment;
    std::vector<PackAddress> meta;
  };
  using EntryPlace = std::pair<store::Branch, std::uint64_t>;
  /// Such an entry with what was found for it.
  struct Opened {
    Carrier carrier;
    EntryRow row;                               ///< without the record's number
    std::optional<store::SignedRecord> record;  ///< nothing: a lie of its writer, and nothing will change it
  };
  /// How much is judged besides what is new.
  enum class Judge : std::uint8_t {
    fresh,  ///< nothing
    anew,   ///< what another policy, key, suspension or line may have changed
    all,
  };

  Body(const LibraryContext& context, const LibraryId& id)
      : context_(context),
        id_(id),
        incarnation_(context.incarnation),
        index_(context.derived, context.local, id),
        pieces_(context.truth, context.realm, id, index_),
        rights_(context.realm),
        rows_(context.local, id) {}

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

  // ---- what keys allow (library.cpp)
  void derive(Judge what);  ///< all of it: index, records, folder. A fault stays in `behind_`
  Result<void> derive_now(Judge what);
  Result<void> load_suspended();
  Result<void> note_suspended();
  void note_stopped_people(const std::set<PersonId>& now);
  /// Why a pack did not open, where that is the store's fault and may be over the next time. Nothing: it lies in the pack, which is not here, is damaged and
  /// to be healed, or was made so.
  std::optional<Error> store_fault(const PackAddress& address, const Error& why) const;
  Result<void> index_packs(std::span<const PackAddress> addresses);
  std::int64_t entry_ms(std::int64_t wall_ms) const;

  // ---- records (library_records.cpp)
  /// Opens what is derived of this library; what does not fit the truth is made anew.
  Result<void> open_view();
  Result<bool> scan_entries(const LibraryState& state);  ///< what is not taken in; false: the rows are of other entries than the truth has
  Result<void> erase(ByteView space);
  Result<void> put_state(LibraryState state);  ///< in a transaction of its own
  struct Unread {
    PackAddress pack;
    Error why;
  };
  /// `unread`: which pack it was that could not be read, where one could not.
  Result<std::optional<store::SignedRecord>> find_record(std::span<const PackAddress> meta, const Digest& commitment, std::optional<Unread>& unread) const;
  Result<void> open_records();  ///< those whose meta packs are here
  Result<void> take(std::span<const Opened> opened, std::span<const DerivedIndex::Pack> packs = {});
  Result<void> judge_ahead();
  Result<void> judge_rows(Judge what);
  Result<void> judge_rows(std::vector<RecordNumber> numbers);
  /// Cuts as they bear on one line, for as long as nothing is judged anew.
  using CutsByLine = std::map<store::Branch, Cuts>;
  struct Judging {
    std::optional<std::int64_t> trusted_ms;
    CutsByLine cuts;
  };
  /// While it lives, rows are read in that transaction. What was remembered of records that it brought is forgotten where it was not committed.
  class Writing {
   public:
    Writing(Body& body, store::WriteTransaction& out) : body_(body) { body_.writing_ = &out; }
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;
    ~Writing() {
      body_.writing_ = nullptr;
      if (!committed_) body_.forget_all();
    }
    void committed() { committed_ = true; }

   private:
    Body& body_;
    bool committed_ = false;
  };
  Judging judging() const { return {context_.realm.trusted_now_ms(), {}}; }
  void note_refused(std::string_view act, const store::Record& record, PolicyVersion policy, std::string_view why) const {
    if (context_.refusals != nullptr) context_.refusals->note_act(act, id_, record.person, record.device, policy, why);
  }
  /// A record that others passed on, and that does not count from now on.
  void note_refused(const RecordRow& row) const;
  std::optional<store::Refusal> refusal_of(const RecordRow& row, const Carrier& carrier, Judging& judging) const;
  Result<void> judge(RecordRow& row, Judging& judging) const;
  Result<void> settle(store::WriteTransaction& out, LibraryState& state, RecordNumber number, const RecordRow& row, const std::optional<RecordRow>& before,
                      std::set<DocumentId>& left);
  Result<void> reset(store::WriteTransaction& out, const std::set<DocumentId>& documents);
  void note(RecordNumber number, const RecordRow& row);  ///< that the row is committed
  Digest judged_by() const;                              ///< of all by which records are judged and that may change, but for the time
  Result<store::SignedRecord> signed_record(const RecordRow& row) const;
  Result<std::shared_ptr<const store::StoredRecord>> record(RecordNumber number) override;
  void remember(RecordNumber number, std::shared_ptr<const store::StoredRecord> record);
  void forget_some();  ///< of what was remembered
  void forget_all();
  Result<std::uint64_t> last_hlc() const;

  // ---- history (library_history.cpp)
  Result<void> open_history();
  Result<void> rewind_history(std::uint64_t count);
  Result<void> extend_history();
  Result<void> update_history();
  static constexpr std::size_t history_steps_at_once = 64;
  Result<std::vector<store::HistoryStep>> apply_steps(store::WriteTransaction& out, store::Folder& folder, std::span<const RecordNumber> records);

  // ---- tags (library_tags.cpp)
  using Ends = std::map<store::Branch, Sequence>;
  Result<Ends> ends_of(const store::Tag& tag) const;
  Result<const store::History*> beside(std::span<const RecordNumber> numbers, const Digest& records);

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
  std::set<PackAddress> unindexed_;          ///< listed, here, and not in the index: for want of a key, or since the start
  std::set<PackAddress> unsound_;            ///< of those: opened, and not what a pack must be
  std::map<EntryPlace, Unopened> unopened_;  ///< with keys
  std::optional<store::Folder> folder_;      ///< with keys, when what is derived is open
  std::optional<LibraryState> state_;        ///< as committed; with the folder
  std::optional<Error> behind_;
  bool state_is_bad_ = false;        ///< all that is derived is to be made anew
  bool made_anew_ = false;           ///< it was, since it was last seen whole
  bool was_damaged_ = false;         ///< in this run
  std::set<EntryPlace> refused_at_;  ///< entries whose record does not count, or is not there
  /// Of nodes that are suspended: how far each of their lines was known when that was first seen here. What is beyond waits. Also in the truth.
  std::map<NodeId, std::map<store::Branch, Sequence>> suspended_;
  /// Of people likewise, by all lines of the library: who were stopped together stand together. Also in the truth, as one value.
  struct StoppedPeople {
    std::set<PersonId> people;
    std::map<store::Branch, Sequence> marks;
  };
  std::vector<StoppedPeople> stopped_people_;
  bool stopped_people_unsaved_ = false;
  std::set<NodeId> suspended_unsaved_;                     ///< of whom the truth says something else
  std::set<std::pair<std::int64_t, RecordNumber>> ahead_;  ///< records that wait for their time, by when that is
  std::uint64_t entry_count_ = 0;

  LibraryRows rows_;
  store::ReadTransaction* writing_ = nullptr;  ///< in which rows are to be read while one is open
  std::map<RecordNumber, std::shared_ptr<const store::StoredRecord>> remembered_;
  std::deque<RecordNumber> remembered_order_;
  std::size_t remembered_ops_ = 0;
  mutable bool record_is_away_{};  ///< a record could not be read since this was set back, and not by the store's fault: its pack is damaged or not here

  // History, and the folder as its last commit shows it; both only once somebody asked.
  std::optional<store::History> history_;
  std::optional<store::Folder> history_folder_;
  /// A line beside the history: what the records of a tag show without those that came late. Derived anew in each run.
  struct Beside {
    Digest records;  ///< that it is made of
    store::History history;
  };
  static constexpr std::size_t beside_most = 2;  ///< two tags can be compared
  std::array<std::optional<Beside>, beside_most> beside_;
  std::size_t beside_next_ = 0;  ///< which is made anew next
  static constexpr std::size_t tagged_most = 64;
  std::map<std::string, store::Tag> tagged_;  ///< by the id of the commit that was told for it
};

}  // namespace dozo::node

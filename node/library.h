// Library: one library as this node holds it. It keeps feeds and packs in the truth, and from them, where the node has keys, the folder, the index
// of pieces and the history.
//
//   entries of a peer -> accept_entries -> known; their packs become missing -> check_pack -> packs_durable -> held -> records judged -> folder
//   a save            -> prepare (operations against the folder, signed record) -> its packs -> commit (meta packs, entry, head in one transaction)
//
// Not here: asking peers (sync), which library is whose (policy), reading people's files.
// Threads: the engine's, but for `index()`, which any thread may ask. Everything in LibraryContext outlives it.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "node/piece_index.h"
#include "node/realm.h"
#include "node/refusal_log.h"
#include "store/accept.h"
#include "store/acts.h"
#include "store/entry.h"
#include "store/feed.h"
#include "store/history.h"
#include "store/tag.h"

namespace dozo::node {

/// What the libraries of a node share.
struct LibraryContext {
  store::Truth& truth;
  store::Kv& derived;
  const crypto::LocalKey& local;
  const crypto::NodeKeys& node;
  Realm& realm;
  IncarnationId incarnation;       ///< of this run: a feed of an earlier run is never written to again, as the disk may be an old image
  RefusalLog* refusals = nullptr;  ///< null: nobody looks
};

/// In whose name a save is made.
struct Capacity {
  PersonId person;  ///< zero: the node itself
  std::string role;
  Bytes certificate;                ///< of the person's session; empty for the node
  const crypto::SigningKey* key{};  ///< the session's or the node's
};

// What a save does. Paths are as shown; the top of the library has none.
struct PutAct {
  std::string path;
  store::Content content;
};
struct MoveAct {
  std::string from, to;  ///< a folder with all below it
};
struct RemoveAct {
  std::string path;
  bool recursive{};
};
/// Ends the conflicts of the document shown at `path`, with what is shown there or at `use`.
struct ResolveAct {
  std::string path;
  std::optional<std::string> use;
};
/// One document of a folder that moves or goes (Library::plan). The paths are where it is shown, for what is said of faults.
struct MoveOneAct {
  DocumentId document;
  std::string from, to;
};
struct RemoveOneAct {
  DocumentId document;
  std::string path;
};
using Act = std::variant<PutAct, MoveAct, RemoveAct, ResolveAct, MoveOneAct, RemoveOneAct>;

struct Prepared {
  PolicyVersion policy;
  Epoch epoch;
  RecordId id;
  store::Record record;  ///< no operations: nothing would change, and there is nothing to commit
  Bytes signed_record;   ///< encoded, for Ingest::add_record
  Digest commitment;
};

class Library {
 public:
  /// Of a feed that its node forked there are several: each is kept, passed on and accepted as a feed of its own would be.
  struct FeedState {
    FeedId feed;
    Sequence known, held;
    Digest root;  ///< at `known`
    bool operator==(const FeedState&) const = default;
  };
  /// A log of so many entries with that root: names a line of a feed, and a place in it.
  struct Point {
    FeedId feed;
    Sequence sequence;
    Digest root;
  };
  static constexpr std::size_t lines_most = 16;  ///< of one feed
  struct Batch {
    std::vector<Bytes> entries;
    std::string head_note;
    std::vector<Digest> proof;
  };
  /// A pack that is here or comes with the commit, and where pieces lie in it.
  struct StoredPack {
    store::PackListing listing;
    std::vector<store::PiecePlace> places;
  };

  /// Reads feeds and packs from the truth; derives what the node may see (behind() says if that failed). Faults: the store's.
  static Result<std::unique_ptr<Library>> open(const LibraryContext& context, const LibraryId& id);
  /// Where the truth keeps how far a node's lines were known when it was suspended (storage-format.md section 4). An empty value: not at all.
  static std::string suspended_name(const LibraryId& library, const NodeId& node);
  static std::string stopped_people_name(const LibraryId& library);
  ~Library();

  const LibraryId& id() const;

  // ---- sync ----------------------------------------------------------------------------------------------------------
  std::vector<FeedState> feeds() const;  ///< ascending by feed
  /// Of each, in that order: how far copies of it are wanted. What is cut, or at its end refused, nobody need hold.
  std::vector<Sequence> counted() const;
  Result<Point> first_line(const FeedId& feed) const;  ///< where it stands. Fault: not_found
  std::size_t forked_count() const;                    ///< feeds with more than one line
  /// Where a cut of this subject leaves what is in the view: the last entry of each feed that counts with a record of the subject. Without keys the whole
  /// feeds. What waits (a suspended node's, or ahead of its time) is beyond. Faults: the store's.
  Result<std::vector<Point>> heads_of(const store::CutSubject& subject) const;
  /// The root of the log's first `size` entries, in the line with that root at `line`. Faults: not_found, the store's.
  Result<Digest> root_at(const Point& line, Sequence size) const;
  /// From which entry on to ask for what leads to this point; 0: nothing, it is held, or is one line too many.
  Result<Sequence> next(const Point& point) const;
  /// Entries from `from` on of the line that `point` names, at least one and as many as fit `bytes_most`, with its head and the proof that links them.
  /// Faults: not_found, the store's.
  Result<Batch> entries(const Point& point, Sequence from, std::size_t bytes_most) const;
  using Lists = std::vector<Digest>;
  /// Checked against the feed's head and the mesh of each entry's policy version, then durable. Entries that are known already are passed over.
  /// What comes back are the lists of packs that these entries name and that are not here: where there are any, all was checked and nothing was kept; to be
  /// called again when they were given to keep_pack_list.
  /// Faults, after which nothing has changed: not_found (a policy version that is not held: the realm now asks for it), denied (its node may not write),
  /// stale (nothing new, or a gap before it), exists (no line that is held here grows into that one: a fork; next() says how to go on), those of
  /// FeedTail::check_batch and decode_list.
  Result<Lists> accept_entries(const Point& point, Sequence from, const Batch& batch);
  Result<void> keep_pack_list(const Digest& sha256, ByteView bytes);
  struct Missing {
    PackAddress address;
    std::uint32_t size_bytes{};  ///< 0: entries differ about it
  };
  /// What is to be asked for: writers take turns, so that one who lists what nobody has holds up nobody else; of each, packs of the entry that lacks least
  /// come first. Without what was put off until after `now_ms`, and what a writer
  /// lists beyond its quota.
  std::vector<Missing> missing(std::size_t most, std::int64_t now_ms) const;
  std::uint64_t missing_count() const;
  bool is_missing(const PackAddress& address) const;  ///< and to be taken if it comes
  /// Nobody has it: it is not among missing() for a while, each time for longer.
  void put_off(const PackAddress& address, std::int64_t now_ms);
  /// A pack that is missing, as it came: one entry at least must say of it what it is. Faults: not_authentic (other bytes than the address names), denied
  /// (these are the bytes, and no entry says so, or they are no pack of this library: what the entries say is false, and is not asked for again).
  Result<void> check_pack(const PackAddress& address, ByteView sealed);
  /// A pack that came and is committed.
  struct Arrived {
    PackAddress address;
    std::optional<std::vector<store::PiecePlace>> places;  ///< where it was looked into: where its pieces lie, each of them hashed
  };
  /// Held heads advance, and with keys records are judged. Says whether what is held, or the folder, changed.
  bool packs_durable(std::vector<Arrived> packs);
  /// Policy or keys changed: judges everything anew.
  void judge_again();
  /// Why what is derived (index, records, folder) does not follow what is held: a fault of the store. Nothing: it does.
  const std::optional<Error>& behind() const;
  void catch_up();  ///< tries again
  /// Reading what is derived found it damaged: makes all of it anew from the truth. False: that was done already, and did not help.
  bool mend();
  bool was_damaged() const;  ///< in this run what is derived was found damaged, and made anew: the disk is to be looked at
  /// Nodes whose entries list more than any policy allowed them: what more they list is not fetched.
  std::set<NodeId> beyond_quota() const;
  /// When, by the realm's trusted time, a record that is ahead of it is to be judged again. Nothing: none is.
  std::optional<std::int64_t> due_ms() const;
  void judge_due();

  // ---- saving and reading, with keys ---------------------------------------------------------------------------------
  bool has_keys() const;
  const store::Folder* folder() const;  ///< null without keys, and where what is derived cannot be opened (behind() says why)
  /// The folder. Faults: denied (no keys), or what behind() says.
  Result<const store::Folder*> readable() const;
  const store::PieceIndex& index() const;
  std::optional<Epoch> epoch() const;         ///< current; nothing: the policy does not name this library
  const crypto::EpochKey* epoch_key() const;  ///< of that epoch; null: not held
  /// What an act does document by document, for one that is too large for a record: parts that may be prepared in several records, one after the other, from
  /// the first on; after each the folder is sound (a folder is there before what moves into it, and goes after what was in it). All that can be refused of the
  /// whole is refused here. An act on a single document is its own only part. Faults: those of acts.
  Result<std::vector<Act>> plan(const Act& act) const;
  /// An act that could not be done, by its place among the acts.
  using PassedOver = std::vector<std::pair<std::size_t, Error>>;
  /// Makes and signs the record for these acts. Faults: denied (policy), over_limit, and of acts: not_found (a path), exists (something is in the way),
  /// malformed. With `passed_over` such acts are left out and noted there.
  Result<Prepared> prepare(std::span<const Act> acts, const Capacity& capacity, std::string text, std::int64_t wall_ms, PassedOver* passed_over = nullptr);
  /// `stored`: packs that are durable already; `with_entry`: those to be committed with the entry. Durable when it returns without fault. Faults: stale (the
  /// policy changed since prepare(): prepare again; with another epoch the packs must be made again too), denied (beyond the quota), the store's. Stale too
  /// where the clock was put back so far that this feed cannot go on.
  Result<Sequence> commit(const Prepared& prepared, std::vector<StoredPack> stored, const std::vector<store::SealedPack>& with_entry, std::int64_t wall_ms);
  /// Where this run writes. A feed whose last entry lies ahead of the time, because this node's clock was wrong, is not gone on with: what it says next
  /// would be dated ahead too, and wait everywhere.
  FeedId own_feed(std::int64_t wall_ms);
  FeedId own_feed() const;
  Result<store::Manifest> manifest(const PieceId& id);
  store::PieceSource& pieces();
  /// Brought up to the folder first.
  Result<store::History*> history();
  /// A state of the library: a commit of the history, or of a line beside it (tagged).
  struct Moment {
    const store::History* history{};  ///< until the next call that brings histories up to date
    std::uint64_t number{};
  };
  /// The commit with that whole id. Faults: not_found, those of history().
  Result<Moment> moment(const std::string& id);
  /// What the folder shows now, for a tag to name.
  struct TagNow {
    store::Tag tag;
    std::uint64_t left_out{};  ///< entries that are known and not in it: what they need is not here, or one before them lacks it
  };
  /// Faults: not_found (nothing was saved), over_limit (of feeds), those of readable().
  Result<TagNow> tag_now() const;
  /// What a tag names, as far as it still counts: the last commit that shows no more and no less. Where a record came late, between those of the tag, that is
  /// none of the history: a line of its own is then derived from the tag's records, and kept for some time.
  /// Faults: unavailable (not all that it names is here), not_found (another library's, another line of a feed, nothing of it counts), those of history().
  Result<Moment> tagged(const store::Tag& tag);

  struct Counts {
    std::uint64_t documents{}, entries{}, packs_missing{}, conflicts{}, refused{};
  };
  Counts counts() const;  ///< of documents none, where what is derived cannot be read
  /// Records that are stored and not accepted, with the reason.
  Result<std::map<RecordId, store::Refusal>> refused() const;
  Result<std::shared_ptr<const store::StoredRecord>> record(const RecordId& id) const;  ///< Fault: not_found (not known here)
  /// What fsck holds the rows of another derived store against.
  struct DerivedState {
    std::uint64_t entries{}, records{};
    Digest judged_by;
  };
  Result<DerivedState> derived_state() const;
  /// With keys: every pack that is listed and here was opened, and every piece in it hashed.
  bool all_opened() const;
  /// A pack that turned out damaged: where an entry lists it, it is missing from now on, its pieces count as not here, and whoever has it may give it back.
  /// Says whether one does. After a fault nothing has changed.
  Result<bool> pack_damaged(const PackAddress& address);

 private:
  class Body;
  explicit Library(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace dozo::node

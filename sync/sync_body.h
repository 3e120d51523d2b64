// The inside of Sync: what is known of each peer, and what is under way. For the .cpp files of this room alone.
//
// sync.cpp: inputs, states, timers. sync_documents.cpp, sync_feeds.cpp, sync_packs.cpp, sync_statements.cpp: one kind of thing each, asking and answering.
// Threads: as Sync.
#pragma once
#include <limits>
#include <set>

#include "sync/fetch.h"
#include "sync/inventory.h"
#include "sync/sync.h"

namespace dozo::sync {

// ---- how often and how much
inline constexpr std::int64_t state_every_ms = 30'000;
inline constexpr std::int64_t flush_every_ms = 50;     ///< news are told at most so often
inline constexpr std::int64_t compare_grace_ms = 300;  ///< news come with a State: what they lead to may settle the difference
inline constexpr std::int64_t compare_latest_ms = 5'000;
inline constexpr std::int64_t refused_again_ms = 1'000;  ///< after the transport refused something of control
inline constexpr std::int64_t refused_bulk_ms = 100;
inline constexpr std::int64_t look_again_first_ms = 1'000;  ///< the same difference of a library is not asked about again within; then twice as long each time
inline constexpr std::int64_t look_again_most_ms = 600'000;
inline constexpr std::int64_t answer_ms = 30'000;     ///< documents, entries, statements that did not come by then are asked of another
inline constexpr std::int64_t distrust_ms = 600'000;  ///< who gave what was refused is not asked for that
inline constexpr std::int64_t lists_ms = 600'000;     ///< so long entries wait for their lists of packs
inline constexpr std::int64_t housekeeping_ms = 1'000;
inline constexpr std::size_t entries_bytes_most = 256U << 10;                      ///< in one answer: what a slow line carries in seconds
inline constexpr std::size_t entries_asks_most = 4, entries_asks_most_short = 16;  ///< to one peer at a time
inline constexpr std::size_t entries_short_bytes = 16U << 10;
inline constexpr std::size_t feeds_told_most = 16'384;  ///< remembered of one peer
inline constexpr std::size_t open_most = 16;            ///< of one feed
inline constexpr std::size_t statement_asks_most = 32;
inline constexpr std::size_t statements_due_most = 8'192;
inline constexpr std::size_t news_most = 256;                 ///< more at a time are left to the comparison of states
inline constexpr std::size_t waiting_bytes_most = 8U << 20;   ///< of entries that wait for lists
inline constexpr std::size_t keeping_bytes_most = 32U << 20;  ///< of packs handed over that are not durable yet
inline constexpr std::size_t packs_looked_at = 64;

/// What a peer has of a feed.
struct PeerFeed {
  FeedPoint told;  ///< last
  struct Open {
    FeedPoint point;
    std::int64_t not_before_ms{};
    bool waits_for_documents{};
  };
  std::vector<Open> open;  ///< ascending; points that this node does not hold
};
using StatementKey = std::tuple<LibraryId, NodeId, std::string>;

struct Peer {
  PeerStatus status;
  std::optional<State> theirs, sent;
  std::int64_t state_due_ms{};
  std::optional<std::int64_t> compare_due_ms;
  std::int64_t compare_latest_due_ms{};
  std::int64_t control_paused_until_ms{};
  /// What was asked about a library's difference, so that it is not asked again at once.
  struct Looked {
    Digest ours, theirs;
    std::int64_t again_ms{}, step_ms{};
  };
  std::map<LibraryId, Looked> looked;
  /// Ours, theirs, and by which policy and root: with others what was refused may count.
  std::optional<std::tuple<Digest, Digest, std::uint64_t, std::uint64_t>> suspensions_asked;
  std::optional<std::pair<Digest, Digest>> other_face_asked;  ///< of policies of one version: ours, theirs
  std::int64_t suspensions_again_ms = 0;                      ///< not asked before: what came last could not be kept
  std::map<FeedId, PeerFeed> feeds;
  std::size_t entries_asked{}, entries_bytes{};  ///< under way; in the last answer
  std::map<StatementKey, std::uint64_t> statements_due;
  std::map<StatementKey, std::int64_t> statements_asked;  ///< and until when an answer may come
};

/// A feed of which some peer has what this node has not.
struct Pull {
  std::optional<NodeId> peer;  ///< asked now,
  FeedPoint point;             ///< for what leads to this,
  Sequence from;               ///< from here on
  std::int64_t until_ms{};
  std::int64_t not_before_ms{};
  struct Waiting {
    NodeId peer;
    FeedPoint point;
    Sequence from;
    Batch batch;
    std::set<Digest> lists;
    std::size_t bytes{};
    std::int64_t until_ms{};
  };
  std::optional<Waiting> waiting;
};

struct WantedDocument {
  std::optional<NodeId> peer;
  std::int64_t until_ms{};
  struct Wait {
    std::int64_t until_ms{}, step_ms{};
    DocumentVersions versions;  ///< of the peer then: with others it is asked again
  };
  std::map<NodeId, Wait> waits;
};

/// Of a document that comes in parts: what is here of it, and whose it is.
struct PartialDocument {
  std::uint32_t total{};
  Bytes bytes;
  NodeId giver;  ///< all of it is this peer's, so that a lie has one author
};
inline constexpr std::size_t parts_most = 2;  ///< documents that are begun at a time

class Sync::Body {
 public:
  Body(ObjectStore& store, Authoriser& authoriser);
  std::vector<Output> on(const Input& input, Now now);
  std::map<NodeId, PeerStatus> peers() const;
  std::size_t packs_in_flight() const { return fetch_.count() + keeping_.size(); }

 private:
  // ---- inputs
  void take(const LinkUp& it);
  void take(const LinkDown& it);
  void take(const Received& it);
  void take(const ReceivedFromStranger& it);
  void take(const Tick&) {}
  void take(const Changed& it);
  void take(const PacksDurable& it);
  void take(const SendRefused& it);

  // ---- messages. False: refused
  bool hear(const NodeId& from, Peer& peer, State&& it);
  bool hear(const NodeId& from, Peer& peer, DocumentsWanted&& it);
  bool hear(const NodeId& from, Peer& peer, DocumentsGiven&& it);
  bool hear(const NodeId& from, Peer& peer, LibraryStates&& it);
  /// Whether the peer may be given of the library what it asks for.
  bool serves(const NodeId& peer, const LibraryId& library);
  bool hear(const NodeId& from, Peer& peer, LibraryWanted&& it);
  bool hear(const NodeId& from, Peer& peer, FeedHeads&& it);
  bool hear(const NodeId& from, Peer& peer, EntriesWanted&& it);
  bool hear(const NodeId& from, Peer& peer, EntriesGiven&& it);
  bool hear(const NodeId& from, Peer& peer, StatementMarks&& it);
  bool hear(const NodeId& from, Peer& peer, StatementWanted&& it);
  bool hear(const NodeId& from, Peer& peer, StatementGiven&& it);
  bool hear(const NodeId& from, Peer& peer, SliceWanted&& it);
  bool hear(const NodeId& from, Peer& peer, SliceGiven&& it);
  bool hear(const NodeId& from, Peer& peer, ObjectUnavailable&& it);
  bool hear(const NodeId&, Peer&, Versions&&) { return false; }  // strangers are told that, and on a socket of their own

  // ---- states
  std::vector<LibraryState> library_states(const NodeId& peer);
  State state_for(const NodeId& peer);
  void send_state(const NodeId& id, Peer& peer);
  bool differs(const NodeId& id, const Peer& peer);
  void send_library_states(const NodeId& id, std::vector<LibraryState> states, bool answer);
  void compare_when_due();
  void feeds_changed(const LibraryId& library);
  void statements_changed(const LibraryId& library);
  void documents_changed(bool offered);
  void flush();
  void housekeep();
  std::optional<std::int64_t> next_wake();

  // ---- documents
  void ask_for_documents();
  void answered_documents(const NodeId& from, bool progress, const std::set<Digest>& grown = {});
  bool take_part(const NodeId& from, DocumentPart&& part, std::vector<Bytes>& whole, bool& honest);
  struct Offers {
    std::size_t authentic{};
    bool changed{}, kept = true;
  };
  Offers offer(const std::vector<Bytes>& envelopes);
  bool may_have(const Peer& peer, const DocumentWant& want) const;

  // ---- feeds
  void note_point(Peer& peer, const FeedPoint& point);
  PeerFeed::Open* open_point(Peer& peer, const FeedPoint& point);
  std::optional<Sequence> next_of(Peer& peer, const FeedPoint& point);
  void ask_for_entries();
  void give_up_entries(Pull& pull);
  void accept(Pull& pull, const NodeId& from, const FeedPoint& point, Sequence first, Batch&& batch);
  void accept_fault(Pull& pull, const NodeId& from, const FeedPoint& point, Sequence first, Fault fault);
  PeerFeed::Open* put_off(const NodeId& from, const FeedPoint& point, std::int64_t until_ms);
  void wait_without_progress(const NodeId& from, const FeedPoint& point, Sequence first);
  void list_came(const ObjectId& list);
  bool wanted_by_entries(const ObjectId& list) const;

  // ---- packs
  void look_for_packs();
  void drop_packs_not_missing();

  // ---- statements
  void ask_for_statements();
  bool asked_elsewhere(const NodeId& peer, const StatementKey& key) const;

  void send(const NodeId& to, const Message& message);
  Peer* up(const NodeId& id);
  template <class Work>
  void each_up(const Work& work) {
    for (auto& [id, peer] : peers_) {
      if (peer.status.up) work(id, peer);
    }
  }

  ObjectStore& store_;
  Authoriser& authoriser_;
  Inventories inventories_;
  Fetch fetch_;
  std::map<NodeId, Peer> peers_;
  std::map<std::tuple<std::string, std::uint64_t, Digest>, WantedDocument> documents_;
  std::map<Digest, PartialDocument> parts_;  ///< by the hash of the whole
  std::map<FeedId, Pull> pulls_;
  std::size_t waiting_bytes_ = 0;
  std::set<FeedId> forks_told_;
  std::map<ObjectId, std::size_t> keeping_;
  std::size_t keeping_bytes_ = 0;
  std::map<LibraryId, bool> look_;  ///< libraries that may miss packs which are not wanted of Fetch yet; true: it changed, and something may be urgent
  std::set<LibraryId> changed_;
  bool all_changed_{}, documents_due_{true};
  std::set<NodeId> documents_due_of_;  ///< only these peers have said something new, or may be asked again
  bool statements_busy_{};             ///< some peer may have statements to be asked for, or asked
  /// No peer's state or comparison is due before: a thousand peers are not looked through at every message.
  std::int64_t peers_due_ms_ = 0;
  void due(std::int64_t at_ms) { peers_due_ms_ = std::min(peers_due_ms_, at_ms); }
  std::optional<std::int64_t> flush_due_ms_;
  std::int64_t last_flush_ms_ = std::numeric_limits<std::int64_t>::min() / 2;
  std::int64_t housekeeping_due_ms_ = 0;

  Now now_;
  std::vector<Output> out_;
};

}  // namespace dozo::sync

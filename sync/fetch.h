// Fetch: objects (packs, lists of packs) on their way here, in slices: which peer is asked for which, how much at a time, and what is asked again.
//
// One peer for an object at a time, many peers at once. A peer's credit is what may be on its way from it: about a second of its measured rate, so that a slow
// line is not filled for minutes ahead of everything else. An object that a peer has not, or whose slices do not come, goes to another one, with what is
// here of it; sooner where that one has nothing else to do. One that no peer has now is put aside and asked for ever more seldom, so that it holds up nothing
// else; of very many such the oldest are given up. Not here: what is missing (object_store.h), messages of other kinds (sync.h). Threads: one owner.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "sync/messages.h"

namespace dozo::sync {

class Fetch {
 public:
  static constexpr std::size_t unfinished_bytes_most = 16U << 20;  ///< of all objects that are begun
  static constexpr std::size_t objects_most = 128;                 ///< wanted at a time, without those put aside
  static constexpr std::size_t aside_most = 512;
  static constexpr std::size_t asks_most = 32;  ///< on their way from one peer: what a queue of the transport takes, in both directions
  static constexpr std::size_t credit_bytes_min = slice_bytes_most, credit_bytes_first = 4 * slice_bytes_most;
  static constexpr std::size_t credit_bytes_most = asks_most * slice_bytes_most;
  static constexpr std::int64_t silence_ms = 20'000;        ///< nothing at all came from a peer that owes something
  static constexpr std::int64_t idle_other_ms = 3'000;      ///< the same, where another peer that may have it has nothing to do: once for each object
  static constexpr std::int64_t slice_timeout_ms = 60'000;  ///< this one did not come
  static constexpr std::uint64_t overtaken_most = 32;       ///< or so many that were asked for later came before it
  static constexpr std::int64_t unavailable_ms = 2'000;     ///< so long a peer that has not is not asked again; then twice as long each time
  static constexpr std::int64_t unavailable_most_ms = 300'000;
  static constexpr std::int64_t distrust_ms = 600'000;  ///< nor one that gave something else
  static constexpr std::int64_t look_ms = 1'000;        ///< between two looks at what is late
  static constexpr std::size_t object_bytes_most = 16U << 20;

  using MayAsk = std::function<bool(const NodeId& peer, const LibraryId& library)>;  ///< whether the peer holds that library
  using Ask = std::function<void(const NodeId& peer, const SliceWanted&)>;

  explicit Fetch(MayAsk may_ask) : may_ask_(std::move(may_ask)) {}

  void add_peer(const NodeId& peer);
  void drop_peer(const NodeId& peer);
  /// It may have by now what it had not.
  void try_again(const NodeId& peer, Now now);
  /// Nothing is asked of it until then: its queue is full.
  void pause(const NodeId& peer, std::int64_t until_ms);

  /// Wanted from now on, if it is not already; the lowest rank first. `size_bytes` 0: not known, and the first who gives says it. With another size than
  /// before it begins anew, and nobody is blamed for what did not fit the one before.
  void want(const ObjectId& object, std::uint32_t size_bytes, std::size_t rank);
  void forget(const ObjectId& object);
  bool is_wanted(const ObjectId& object) const { return objects_.contains(object); }
  std::vector<ObjectId> wanted(const LibraryId& library) const;
  std::size_t count() const { return objects_.size(); }
  std::size_t count_aside() const { return aside_.size(); }
  std::size_t room() const;  ///< further objects that may be wanted now
  /// Packs that are not wanted any more, because nobody has them and so many are put aside. They are given once.
  std::vector<ObjectId> take_given_up() { return std::exchange(given_up_, {}); }

  /// Asks for all that credit allows; begins nothing new where `begin` is false.
  void pump(Now now, bool begin, const Ask& ask);

  /// The whole object, when this was the last slice of it; it is then no longer wanted. A slice that was not asked for changes nothing.
  struct Whole {
    Bytes bytes;
    bool from_one{};               ///< all of it came from this peer
    std::uint32_t wanted_bytes{};  ///< as want() said
  };
  std::optional<Whole> take(const NodeId& peer, SliceGiven&& slice, Now now);
  /// The object that take() gave was not what it should be: it begins anew. The peer is not asked for it for long if all was its own.
  void refuse(const NodeId& peer, const ObjectId& object, const Whole& whole, Now now);
  void unavailable(const NodeId& peer, const ObjectId& object, Now now);
  /// What a peer was asked for may not have reached it.
  void ask_again(const NodeId& peer);
  /// Gives up slices that did not come, and takes up again what was put aside. When to be called again; nothing: nothing is wanted.
  std::optional<std::int64_t> expire(Now now);

 private:
  enum class At : std::uint8_t { not_asked, asked, here };
  struct Asked {
    std::int64_t at_ms{};
    std::uint64_t number{};
  };
  struct Wait {
    std::int64_t until_ms{}, step_ms{};
    bool distrusted{};
  };
  struct Object {
    std::uint32_t wanted_bytes{};  ///< as want() said
    std::uint32_t size_bytes{};    ///< 0: not known yet
    Bytes bytes;
    std::vector<At> slices;
    std::size_t here_count{}, next{};  ///< no slice below `next` is to be asked for
    std::map<std::uint32_t, Asked> asked;
    std::optional<NodeId> peer, giver;  ///< who is asked now; who gave what is here
    bool mixed{};                       ///< several did
    bool of_one{};                      ///< it was refused when several did: next time all must come from one, who is to blame if it is wrong
    bool moved{};                       ///< it was taken from a peer for another that had nothing to do: what is on its way then comes in vain, so only once
    bool probing{};                     ///< its peer had it not before: one slice first
    std::map<NodeId, Wait> waits;
    std::size_t counted_bytes{};  ///< in begun_bytes_
    std::size_t rank{};
    std::uint64_t order{};
    bool aside{};
  };
  using Place = std::tuple<std::size_t, std::uint64_t, ObjectId>;  ///< rank, order
  struct Peer {
    std::size_t on_its_way_bytes{}, asks{};
    std::size_t credit_bytes{credit_bytes_first};
    std::int64_t window_start_ms{};
    std::size_t window_bytes{};
    std::int64_t heard_ms{}, paused_until_ms{};
    std::uint64_t asked_number{}, came_number{};
    std::set<Place> open;    ///< objects that are asked of it, with slices that are not yet
    std::set<ObjectId> its;  ///< all that are asked of it
    bool silent{};           ///< what it was asked for last did not come
    bool nothing_new{};      ///< among what nobody is asked for there is nothing for it
  };

  Place place(const ObjectId& id, const Object& object) const { return {object.rank, object.order, id}; }
  static std::size_t bytes_at(const Object& object, std::uint32_t offset);
  void count_begun(Object& object);
  void discard(Object& object);
  void begin_anew(Object& object);
  void release(const ObjectId& id, Object& object);
  bool has_idle_other(const ObjectId& id, const Object& object, Now now) const;
  void put_aside_if_nobody_has(const ObjectId& id, Object& object, Now now);
  void look_anew();
  void wait(Object& object, const NodeId& peer, Now now);
  bool begin_one(const NodeId& id, Peer& peer, Now now);
  void measure(Peer& peer, std::size_t bytes, Now now);
  bool spare(std::size_t bytes);

  MayAsk may_ask_;
  std::map<ObjectId, Object> objects_;
  std::set<Place> idle_, aside_;  ///< those that nobody is asked for
  std::uint64_t next_order_ = 0;
  std::size_t begun_bytes_ = 0;
  std::vector<ObjectId> given_up_;
  std::map<NodeId, Peer> peers_;
  std::int64_t next_look_ms_ = 0;
};

}  // namespace dozo::sync

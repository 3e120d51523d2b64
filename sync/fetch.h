// Fetch: objects (packs, lists of packs) on their way here, in slices: which peer is asked for which, how much at a time, and what is asked again.
//
// One peer for an object at a time, many peers at once. A peer's credit is what may be on its way from it: about a second of its measured rate, so that a slow
// line is not filled for minutes ahead of everything else. An object that a peer has not, or whose slices do not come, goes to another one, with what is
// here of it.
// Not here: what is missing (object_store.h), messages of other kinds (sync.h).
// Threads: one owner.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "sync/messages.h"

namespace dozo::sync {

class Fetch {
 public:
  static constexpr std::size_t unfinished_bytes_most = 16U << 20;
  static constexpr std::size_t credit_bytes_min = 2 * slice_bytes_most, credit_bytes_first = 1U << 20, credit_bytes_most = 4U << 20;
  static constexpr std::int64_t slice_timeout_ms = 8'000;
  static constexpr std::int64_t unavailable_ms = 2'000;   ///< so long a peer that has not is not asked again
  static constexpr std::int64_t distrust_ms = 600'000;    ///< nor one that gave something else
  static constexpr std::size_t list_bytes_most = 16U << 20;

  using Ask = std::function<void(const NodeId& peer, const SliceWanted&)>;

  void add_peer(const NodeId& peer);
  void drop_peer(const NodeId& peer);

  /// Wanted from now on, if it is not already. `size_bytes` 0: not known (lists).
  void want(const ObjectId& object, std::uint32_t size_bytes);
  void forget(const ObjectId& object);
  bool is_wanted(const ObjectId& object) const { return objects_.contains(object); }
  std::size_t count() const { return objects_.size(); }
  std::size_t room() const;  ///< bytes of further objects that may be wanted now

  /// Asks for all that credit allows. `may_ask`: whether the peer holds that library.
  void pump(Now now, const std::function<bool(const NodeId&, const LibraryId&)>& may_ask, const Ask& ask);

  /// The whole object, when this was the last slice of it. A slice that was not asked for changes nothing.
  std::optional<Bytes> take(const NodeId& peer, SliceGiven&& slice, Now now);
  /// The object that take() gave was not what it should be: it begins anew, elsewhere.
  void refuse(const NodeId& peer, const ObjectId& object, std::uint32_t size_bytes, Now now);
  void unavailable(const NodeId& peer, const ObjectId& object, Now now);
  /// What a peer was asked for may not have reached it.
  void ask_again(const NodeId& peer);
  /// Gives up slices that did not come. When to be called again; nothing: nothing is on its way.
  std::optional<std::int64_t> expire(Now now);

 private:
  struct Object {
    std::uint32_t size_bytes{};  ///< 0: not known yet
    Bytes bytes;
    std::set<std::uint32_t> here;                    ///< offsets
    std::map<std::uint32_t, std::int64_t> asked;     ///< offsets, and when
    std::optional<NodeId> peer;
    std::map<NodeId, std::int64_t> not_before_ms;    ///< peers not to be asked until then
    std::uint64_t order{};
  };
  struct Peer {
    std::size_t on_its_way_bytes{};
    std::size_t credit_bytes{credit_bytes_first};
    std::int64_t window_start_ms{};
    std::size_t window_bytes{};
  };
  void release(Object& object);
  std::optional<std::uint32_t> next_offset(const Object& object) const;
  void measure(Peer& peer, std::size_t bytes, Now now);

  std::map<ObjectId, Object> objects_;
  std::map<std::uint64_t, ObjectId> order_;  ///< as wanted
  std::uint64_t next_order_ = 0;
  std::map<NodeId, Peer> peers_;
};

}  // namespace dozo::sync

#include "sync/fetch.h"

#include <algorithm>
#include <cstring>

namespace dozo::sync {

namespace {
constexpr std::size_t ask_bytes = 256;  // what a slice costs besides its content
}

void Fetch::add_peer(const NodeId& peer) {
  peers_.try_emplace(peer);
  look_anew();
  next_look_ms_ = 0;
}

void Fetch::drop_peer(const NodeId& id) {
  const auto peer = peers_.find(id);
  if (peer == peers_.end()) return;
  ask_again(id);
  for (auto& [object_id, object] : objects_) {
    const auto wait = object.waits.find(id);
    if (wait != object.waits.end() && !wait->second.distrusted) object.waits.erase(wait);
  }
  peers_.erase(peer);
}

void Fetch::try_again(const NodeId& peer, Now now) {
  for (auto& [id, object] : objects_) {
    const auto wait = object.waits.find(peer);
    if (wait == object.waits.end() || wait->second.distrusted) continue;
    wait->second.step_ms = unavailable_ms;
    wait->second.until_ms = std::min(wait->second.until_ms, now.steady_ms + unavailable_ms);
  }
  next_look_ms_ = std::min(next_look_ms_, now.steady_ms + look_ms);
}

void Fetch::pause(const NodeId& id, std::int64_t until_ms) {
  if (const auto peer = peers_.find(id); peer != peers_.end()) peer->second.paused_until_ms = until_ms;
  next_look_ms_ = std::min(next_look_ms_, until_ms);
}

void Fetch::look_anew() {
  for (auto& [id, peer] : peers_) peer.nothing_new = false;
}

void Fetch::want(const ObjectId& id, std::uint32_t size_bytes, std::size_t rank) {
  const auto [it, fresh] = objects_.try_emplace(id);
  Object& object = it->second;
  if (!fresh && object.wanted_bytes != size_bytes) {
    release(id, object);
    object.wanted_bytes = size_bytes;
    begin_anew(object);
    object.waits.clear();
    if (std::exchange(object.aside, false)) {
      aside_.erase(place(id, object));
      idle_.insert(place(id, object));
    }
    look_anew();
  }
  if (!fresh) {
    if (object.peer || object.aside || object.rank == rank) return;
    idle_.erase(place(id, object));
    object.rank = rank;
    idle_.insert(place(id, object));
    return;
  }
  object.wanted_bytes = size_bytes;
  begin_anew(object);
  object.rank = rank;
  object.order = next_order_++;
  idle_.insert(place(id, object));
  look_anew();
}

void Fetch::forget(const ObjectId& id) {
  const auto it = objects_.find(id);
  if (it == objects_.end()) return;
  release(id, it->second);
  begun_bytes_ -= it->second.counted_bytes;
  (it->second.aside ? aside_ : idle_).erase(place(id, it->second));
  objects_.erase(it);
}

std::vector<ObjectId> Fetch::wanted(const LibraryId& library) const {
  std::vector<ObjectId> out;
  for (auto at = objects_.lower_bound({library, ObjectKind{}, {}}); at != objects_.end() && at->first.library == library; ++at) out.push_back(at->first);
  return out;
}

std::size_t Fetch::room() const {
  const std::size_t used = objects_.size() - aside_.size();
  return used < objects_most ? objects_most - used : 0;
}

std::size_t Fetch::bytes_at(const Object& object, std::uint32_t offset) {
  return object.size_bytes == 0 ? slice_bytes_most : std::min<std::size_t>(slice_bytes_most, object.size_bytes - offset);
}

/// The bytes that an object takes up, or will when its slices have come.
void Fetch::count_begun(Object& object) {
  const std::size_t bytes = object.peer || object.here_count > 0 ? std::max<std::size_t>(object.size_bytes, slice_bytes_most) : 0;
  begun_bytes_ += bytes - object.counted_bytes;
  object.counted_bytes = bytes;
}

void Fetch::discard(Object& object) {
  object.bytes = {};
  std::ranges::fill(object.slices, At::not_asked);
  object.here_count = object.next = 0;
  object.giver.reset();
  object.mixed = false;
  count_begun(object);
}

/// Nothing of it is here, and its size is what is wanted.
void Fetch::begin_anew(Object& object) {
  object.size_bytes = object.wanted_bytes;
  object.slices.assign((object.size_bytes + slice_bytes_most - 1) / slice_bytes_most, At::not_asked);
  discard(object);
}

/// Takes back what its peer was asked for and has not given.
void Fetch::release(const ObjectId& id, Object& object) {
  if (!object.peer) return;
  Peer& peer = peers_.at(*object.peer);
  peer.open.erase(place(id, object));
  peer.its.erase(id);
  for (const auto& [offset, asked] : object.asked) {
    peer.on_its_way_bytes -= bytes_at(object, offset) + ask_bytes;
    --peer.asks;
    if (!object.slices.empty()) object.slices[offset / slice_bytes_most] = At::not_asked;
  }
  object.asked.clear();
  object.next = 0;
  object.peer.reset();
  count_begun(object);
  idle_.insert(place(id, object));
  look_anew();
}

void Fetch::wait(Object& object, const NodeId& peer, Now now) {
  Wait& it = object.waits[peer];
  it.step_ms = std::clamp(2 * it.step_ms, unavailable_ms, unavailable_most_ms);
  it.until_ms = std::max(it.until_ms, now.steady_ms + it.step_ms);
  next_look_ms_ = std::min(next_look_ms_, it.until_ms);
}

/// An object that every peer has refused for now.
void Fetch::put_aside_if_nobody_has(const ObjectId& id, Object& object, Now now) {
  for (const auto& [peer, its] : peers_) {
    const auto waits = object.waits.find(peer);
    if ((waits == object.waits.end() || waits->second.until_ms <= now.steady_ms) && may_ask_(peer, id.library)) return;
  }
  idle_.erase(place(id, object));
  object.aside = true;
  aside_.insert(place(id, object));
  if (aside_.size() <= aside_most) return;
  const auto oldest = std::ranges::min_element(aside_, {}, [](const Place& at) {
    return std::pair(std::get<ObjectId>(at).kind != ObjectKind::pack, std::get<1>(at));  // entries wait for lists
  });
  const ObjectId gone = std::get<ObjectId>(*oldest);
  if (gone.kind != ObjectKind::pack) return;
  given_up_.push_back(gone);
  forget(gone);  // it may be this very object
}

/// Makes room among what is begun, at the cost of what nobody has the rest of.
bool Fetch::spare(std::size_t bytes) {
  if (begun_bytes_ == 0 || begun_bytes_ + bytes <= unfinished_bytes_most) return true;
  for (const Place& at : aside_) {
    Object& object = objects_.at(std::get<ObjectId>(at));
    if (object.counted_bytes > 0) discard(object);
    if (begun_bytes_ + bytes <= unfinished_bytes_most) return true;
  }
  return begun_bytes_ == 0;
}

/// Gives the peer one more object to be asked for.
bool Fetch::begin_one(const NodeId& id, Peer& peer, Now now) {
  for (const Place& at : idle_) {
    const ObjectId& object_id = std::get<ObjectId>(at);
    Object& object = objects_.at(object_id);
    const auto waits = object.waits.find(id);
    if ((waits != object.waits.end() && waits->second.until_ms > now.steady_ms) || !may_ask_(id, object_id.library)) continue;
    if (object.counted_bytes == 0 && !spare(std::max<std::size_t>(object.size_bytes, slice_bytes_most))) return false;
    if (object.of_one && object.giver && object.giver != id) begin_anew(object);  // with its size, which that giver may have said
    object.peer = id;
    object.probing = waits != object.waits.end();
    count_begun(object);
    peer.open.insert(at);
    peer.its.insert(object_id);
    idle_.erase(at);
    return true;
  }
  peer.nothing_new = true;
  return false;
}

void Fetch::pump(Now now, bool begin, const Ask& ask) {
  if (objects_.empty()) return;
  for (auto& [id, peer] : peers_) {
    if (peer.paused_until_ms > now.steady_ms) continue;
    while (peer.asks < asks_most && peer.on_its_way_bytes + slice_bytes_most + ask_bytes <= peer.credit_bytes + ask_bytes * asks_most) {
      if (peer.open.empty() && (!begin || peer.nothing_new || idle_.empty() || !begin_one(id, peer, now))) break;
      const Place at = *peer.open.begin();
      const ObjectId& object_id = std::get<ObjectId>(at);
      Object& object = objects_.at(object_id);
      while (object.next < object.slices.size() && object.slices[object.next] != At::not_asked) ++object.next;
      const bool sized = !object.slices.empty();
      const bool alone = !sized || object.probing;  // the rest when this one has come
      if ((alone && !object.asked.empty()) || (sized && object.next == object.slices.size())) {
        peer.open.erase(at);
        continue;
      }
      const auto offset = static_cast<std::uint32_t>(object.next * slice_bytes_most);
      if (sized) object.slices[object.next++] = At::asked;
      object.asked.emplace(offset, Asked{now.steady_ms, ++peer.asked_number});
      if (peer.asks++ == 0) {  // the time before was no measure of the line
        peer.heard_ms = peer.window_start_ms = now.steady_ms;
        peer.window_bytes = 0;
        next_look_ms_ = std::min(next_look_ms_, now.steady_ms + look_ms);  // what is put aside may be looked at much later
      }
      peer.on_its_way_bytes += bytes_at(object, offset) + ask_bytes;
      ask(id, {object_id, offset});
    }
  }
}

void Fetch::measure(Peer& peer, std::size_t bytes, Now now) {
  constexpr std::int64_t window_ms = 500;
  peer.window_bytes += bytes;
  const std::int64_t elapsed_ms = now.steady_ms - peer.window_start_ms;
  if (elapsed_ms < window_ms) return;
  const std::size_t rate = peer.window_bytes * 1000 / static_cast<std::size_t>(elapsed_ms);
  peer.credit_bytes = std::clamp(std::max(rate, peer.credit_bytes / 2), credit_bytes_min, credit_bytes_most);
  peer.window_start_ms = now.steady_ms;
  peer.window_bytes = 0;
}

std::optional<Fetch::Whole> Fetch::take(const NodeId& from, SliceGiven&& slice, Now now) {
  const auto found = objects_.find(slice.object);
  if (found == objects_.end() || found->second.peer != from) return std::nullopt;
  const ObjectId id = found->first;
  Object& object = found->second;
  const auto asked = object.asked.find(slice.offset);
  if (asked == object.asked.end()) return std::nullopt;
  Peer& peer = peers_.at(from);
  peer.heard_ms = now.steady_ms;
  peer.silent = false;
  peer.came_number = std::max(peer.came_number, asked->second.number);
  peer.on_its_way_bytes -= bytes_at(object, slice.offset) + ask_bytes;
  --peer.asks;
  object.asked.erase(asked);
  measure(peer, slice.bytes.size(), now);
  if (object.size_bytes == 0 && slice.size_bytes <= object_bytes_most) {
    object.size_bytes = slice.size_bytes;
    object.slices.resize((slice.size_bytes + slice_bytes_most - 1) / slice_bytes_most);
    count_begun(object);
    peer.open.insert(place(id, object));
  }
  if (std::exchange(object.probing, false)) peer.open.insert(place(id, object));
  const bool fits = slice.size_bytes == object.size_bytes && slice.offset < object.size_bytes && slice.bytes.size() == bytes_at(object, slice.offset);
  if (!fits) {
    if (slice.offset < object.size_bytes) object.slices[slice.offset / slice_bytes_most] = At::not_asked;
    if (object.wanted_bytes == 0 && object.giver && object.giver != from && slice.size_bytes != object.size_bytes) {
      // Two peers name two sizes. Whose is wrong shows when the whole has come from one of them.
      object.of_one = true;
      wait(object, from, now);
      wait(object, *object.giver, now);
    } else {
      object.waits[from] = {now.steady_ms + distrust_ms, distrust_ms, true};
    }
    release(id, object);
    if (object.wanted_bytes == 0) begin_anew(object);
    put_aside_if_nobody_has(id, object, now);
    return std::nullopt;
  }
  if (object.bytes.empty()) object.bytes.resize(object.size_bytes);
  std::memcpy(object.bytes.data() + slice.offset, slice.bytes.data(), slice.bytes.size());
  object.slices[slice.offset / slice_bytes_most] = At::here;
  ++object.here_count;
  object.mixed = object.mixed || (object.giver && object.giver != from);
  object.giver = from;
  if (object.here_count < object.slices.size()) return std::nullopt;
  Whole whole{std::move(object.bytes), !object.mixed, object.wanted_bytes};
  forget(id);
  return whole;
}

void Fetch::refuse(const NodeId& peer, const ObjectId& id, const Whole& whole, Now now) {
  want(id, whole.wanted_bytes, 0);
  Object& object = objects_.at(id);
  object.of_one = true;
  if (!whole.from_one) return;
  object.waits[peer] = {now.steady_ms + distrust_ms, distrust_ms, true};
  put_aside_if_nobody_has(id, object, now);
}

void Fetch::unavailable(const NodeId& peer, const ObjectId& id, Now now) {
  const auto it = objects_.find(id);
  if (it == objects_.end() || it->second.peer != peer) return;
  peers_.at(peer).heard_ms = now.steady_ms;
  peers_.at(peer).silent = false;
  release(id, it->second);
  wait(it->second, peer, now);
  put_aside_if_nobody_has(id, it->second, now);
}

void Fetch::ask_again(const NodeId& peer) {
  const auto it = peers_.find(peer);
  if (it == peers_.end()) return;
  const std::set<ObjectId> its = it->second.its;
  for (const ObjectId& id : its) release(id, objects_.at(id));
}

bool Fetch::has_idle_other(const ObjectId& id, const Object& object, Now now) const {
  return std::ranges::any_of(peers_, [&](const auto& it) {
    const auto waits = object.waits.find(it.first);
    const bool waiting = waits != object.waits.end() && waits->second.until_ms > now.steady_ms;
    return it.first != object.peer && it.second.its.empty() && !it.second.silent && it.second.paused_until_ms <= now.steady_ms && !waiting &&
           may_ask_(it.first, id.library);
  });
}

std::optional<std::int64_t> Fetch::expire(Now now) {
  if (objects_.empty()) return std::nullopt;
  if (now.steady_ms < next_look_ms_) return next_look_ms_;
  std::int64_t next = now.steady_ms + unavailable_most_ms;
  const auto sooner = [&](std::int64_t at_ms) { next = std::min(next, std::max(at_ms, now.steady_ms + look_ms)); };
  look_anew();
  for (auto& [peer_id, peer] : peers_) {
    if (peer.paused_until_ms > now.steady_ms) next = std::min(next, peer.paused_until_ms);
    if (peer.its.empty()) continue;
    sooner(now.steady_ms + look_ms);
    const bool silent = peer.asks > 0 && peer.heard_ms + silence_ms <= now.steady_ms;
    if (silent) peer.credit_bytes = std::max(credit_bytes_min, peer.credit_bytes / 2);
    const bool lingers = peer.asks > 0 && peer.heard_ms + idle_other_ms <= now.steady_ms;
    const std::set<ObjectId> its = peer.its;
    for (const ObjectId& id : its) {
      Object& object = objects_.at(id);
      bool late = silent;
      bool overtaken = false;
      for (const auto& [offset, asked] : object.asked) {
        late = late || asked.at_ms + slice_timeout_ms <= now.steady_ms;
        overtaken = overtaken || asked.number + overtaken_most < peer.came_number;
      }
      // Where all must come from one, a move would throw away what is here.
      const bool moves = lingers && !late && !object.moved && !(object.of_one && object.giver) && has_idle_other(id, object, now);
      if (!late && !overtaken && !moves) continue;
      release(id, object);
      if (!late && !moves) continue;
      peer.silent = peer.silent || lingers;
      if (moves) {
        object.moved = true;
        peer.paused_until_ms = std::max(peer.paused_until_ms, now.steady_ms + idle_other_ms);  // what comes next is not asked of it at once
      }
      wait(object, peer_id, now);
      put_aside_if_nobody_has(id, object, now);
    }
  }
  const std::set<Place> aside = aside_;
  for (const Place& at : aside) {
    const ObjectId& id = std::get<ObjectId>(at);
    Object& object = objects_.at(id);
    aside_.erase(at);
    object.aside = false;
    idle_.insert(at);
    put_aside_if_nobody_has(id, object, now);
  }
  for (const std::set<Place>* places : {&idle_, &aside_}) {
    for (const Place& at : *places) {
      for (const auto& [peer, wait] : objects_.at(std::get<ObjectId>(at)).waits) {
        if (wait.until_ms > now.steady_ms && peers_.contains(peer)) sooner(wait.until_ms);
      }
    }
  }
  next_look_ms_ = next;
  return next;
}

}  // namespace dozo::sync

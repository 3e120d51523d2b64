#include "sync/fetch.h"

#include <algorithm>
#include <cstring>

namespace dozo::sync {

void Fetch::add_peer(const NodeId& peer) { peers_.try_emplace(peer); }

void Fetch::drop_peer(const NodeId& peer) {
  for (auto& [id, object] : objects_) {
    if (object.peer == peer) release(object);
    object.not_before_ms.erase(peer);
  }
  peers_.erase(peer);
}

void Fetch::want(const ObjectId& id, std::uint32_t size_bytes) {
  const auto [it, fresh] = objects_.try_emplace(id);
  if (!fresh) return;
  it->second.size_bytes = size_bytes;
  it->second.order = next_order_++;
  order_.emplace(it->second.order, id);
}

void Fetch::forget(const ObjectId& id) {
  const auto it = objects_.find(id);
  if (it == objects_.end()) return;
  release(it->second);
  order_.erase(it->second.order);
  objects_.erase(it);
}

std::size_t Fetch::room() const {
  std::size_t used = 0;
  for (const auto& [id, object] : objects_) used += std::max<std::size_t>(object.size_bytes, slice_bytes_most);
  return used < unfinished_bytes_most ? unfinished_bytes_most - used : 0;
}

/// Takes back what its peer was asked for and has not given.
void Fetch::release(Object& object) {
  if (object.peer) {
    if (const auto peer = peers_.find(*object.peer); peer != peers_.end()) {
      peer->second.on_its_way_bytes -= std::min(peer->second.on_its_way_bytes, object.asked.size() * slice_bytes_most);
    }
  }
  object.peer.reset();
  object.asked.clear();
}

std::optional<std::uint32_t> Fetch::next_offset(const Object& object) const {
  if (object.size_bytes == 0) return object.asked.empty() ? std::optional<std::uint32_t>(0) : std::nullopt;
  for (std::uint32_t offset = 0; offset < object.size_bytes; offset += slice_bytes_most) {
    if (!object.here.contains(offset) && !object.asked.contains(offset)) return offset;
  }
  return std::nullopt;
}

void Fetch::pump(Now now, const std::function<bool(const NodeId&, const LibraryId&)>& may_ask, const Ask& ask) {
  for (const auto& [order, id] : order_) {
    Object& object = objects_.at(id);
    if (!object.peer) {
      // Whoever has most credit left.
      std::size_t best = 0;
      for (const auto& [peer, its] : peers_) {
        const std::size_t left = its.credit_bytes > its.on_its_way_bytes ? its.credit_bytes - its.on_its_way_bytes : 0;
        const auto waits = object.not_before_ms.find(peer);
        if (left < slice_bytes_most || left <= best || (waits != object.not_before_ms.end() && waits->second > now.steady_ms)) continue;
        if (!may_ask(peer, id.library)) continue;
        best = left;
        object.peer = peer;
      }
      if (!object.peer) continue;
    }
    Peer& peer = peers_.at(*object.peer);
    while (peer.on_its_way_bytes + slice_bytes_most <= peer.credit_bytes) {
      const auto offset = next_offset(object);
      if (!offset) break;
      object.asked.emplace(*offset, now.steady_ms);
      peer.on_its_way_bytes += slice_bytes_most;
      ask(*object.peer, {id, *offset});
    }
  }
}

void Fetch::measure(Peer& peer, std::size_t bytes, Now now) {
  constexpr std::int64_t window_ms = 500;
  peer.window_bytes += bytes;
  const std::int64_t elapsed_ms = now.steady_ms - peer.window_start_ms;
  if (elapsed_ms < window_ms) return;
  // A window that began long ago measured silence, not the line.
  if (elapsed_ms < 4 * window_ms) {
    const std::size_t rate = peer.window_bytes * 1000 / static_cast<std::size_t>(elapsed_ms);
    peer.credit_bytes = std::clamp(std::max(rate, peer.credit_bytes / 2), credit_bytes_min, credit_bytes_most);
  }
  peer.window_start_ms = now.steady_ms;
  peer.window_bytes = 0;
}

std::optional<Bytes> Fetch::take(const NodeId& from, SliceGiven&& slice, Now now) {
  const auto found = objects_.find(slice.object);
  if (found == objects_.end() || found->second.peer != from) return std::nullopt;
  Object& object = found->second;
  const auto asked = object.asked.find(slice.offset);
  if (asked == object.asked.end()) return std::nullopt;
  object.asked.erase(asked);
  Peer& peer = peers_.at(from);
  peer.on_its_way_bytes -= std::min(peer.on_its_way_bytes, slice_bytes_most);
  measure(peer, slice.bytes.size(), now);
  if (object.size_bytes == 0 && slice.size_bytes > 0 && slice.size_bytes <= list_bytes_most) object.size_bytes = slice.size_bytes;
  const std::size_t expected = object.size_bytes > slice.offset ? std::min<std::size_t>(slice_bytes_most, object.size_bytes - slice.offset) : 0;
  if (slice.size_bytes != object.size_bytes || expected == 0 || slice.bytes.size() != expected) {
    object.not_before_ms[from] = now.steady_ms + distrust_ms;
    release(object);
    return std::nullopt;
  }
  if (object.bytes.empty()) object.bytes.resize(object.size_bytes);
  std::memcpy(object.bytes.data() + slice.offset, slice.bytes.data(), expected);
  object.here.insert(slice.offset);
  if (object.here.size() * slice_bytes_most < object.size_bytes) return std::nullopt;
  Bytes whole = std::move(object.bytes);
  forget(slice.object);
  return whole;
}

void Fetch::refuse(const NodeId& peer, const ObjectId& id, std::uint32_t size_bytes, Now now) {
  want(id, size_bytes);
  objects_.at(id).not_before_ms[peer] = now.steady_ms + distrust_ms;
}

void Fetch::unavailable(const NodeId& peer, const ObjectId& id, Now now) {
  const auto it = objects_.find(id);
  if (it == objects_.end() || it->second.peer != peer) return;
  it->second.not_before_ms[peer] = now.steady_ms + unavailable_ms;
  release(it->second);
}

void Fetch::ask_again(const NodeId& peer) {
  for (auto& [id, object] : objects_) {
    if (object.peer == peer) release(object);
  }
}

std::optional<std::int64_t> Fetch::expire(Now now) {
  std::optional<std::int64_t> next;
  const auto sooner = [&](std::int64_t at_ms) { next = next ? std::min(*next, at_ms) : at_ms; };
  for (auto& [id, object] : objects_) {
    bool late = false;
    for (const auto& [offset, asked_ms] : object.asked) {
      late = late || asked_ms + slice_timeout_ms <= now.steady_ms;
      sooner(asked_ms + slice_timeout_ms);
    }
    if (late && object.peer) {
      Peer& peer = peers_.at(*object.peer);
      peer.credit_bytes = std::max(credit_bytes_min, peer.credit_bytes / 2);
      object.not_before_ms[*object.peer] = now.steady_ms + unavailable_ms;
      release(object);
    }
    if (!object.peer) {
      for (const auto& [peer, until_ms] : object.not_before_ms) {
        if (until_ms > now.steady_ms) sooner(until_ms);
      }
    }
  }
  if (next && *next <= now.steady_ms) next = now.steady_ms + 1;
  return next;
}

}  // namespace dozo::sync

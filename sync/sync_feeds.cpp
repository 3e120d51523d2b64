#include <algorithm>

#include "sync/sync_body.h"

namespace dozo::sync {

bool Sync::Body::hear(const NodeId& from, Peer& peer, FeedHeads&& it) {
  if (!authoriser_.shares(from, it.library)) return false;
  if (!std::ranges::is_sorted(it.feeds, std::less_equal<>{})) return false;
  if (std::ranges::any_of(it.feeds, [&](const FeedPoint& point) { return point.feed.library != it.library; })) return false;
  for (const FeedPoint& point : it.feeds) note_point(peer, point);
  return true;
}

void Sync::Body::note_point(Peer& peer, const FeedPoint& point) {
  if (point.sequence.value == 0) return;
  auto feed = peer.feeds.find(point.feed);
  if (feed == peer.feeds.end()) {
    if (peer.feeds.size() >= feeds_told_most) return;
    feed = peer.feeds.emplace(point.feed, PeerFeed{}).first;
  }
  feed->second.told = point;
  std::vector<PeerFeed::Open>& open = feed->second.open;
  const auto at = std::ranges::lower_bound(open, point, {}, &PeerFeed::Open::point);
  if ((at != open.end() && at->point == point) || inventories_.of(point.feed.library).holds(point)) return;
  const auto next = store_.next(point);
  if (!next || next->value == 0) return;
  open.insert(at, {point});
  if (open.size() > open_most) open.erase(open.begin());  // the further ones lead past it, or a later round names it again
  pulls_.try_emplace(point.feed);
}

PeerFeed::Open* Sync::Body::open_point(Peer& peer, const FeedPoint& point) {
  const auto feed = peer.feeds.find(point.feed);
  if (feed == peer.feeds.end()) return nullptr;
  const auto at = std::ranges::find(feed->second.open, point, &PeerFeed::Open::point);
  return at != feed->second.open.end() ? &*at : nullptr;
}

namespace {
/// Many at a time as long as answers are short.
std::size_t asks_most(const Peer& peer) { return peer.entries_bytes <= entries_short_bytes ? entries_asks_most_short : entries_asks_most; }
}  // namespace

/// Each feed of one peer at a time, the one of which least is asked, and there the furthest point first.
void Sync::Body::ask_for_entries() {
  if (pulls_.empty()) return;
  std::size_t free = 0;
  each_up([&](const NodeId&, const Peer& peer) {
    if (peer.control_paused_until_ms <= now_.steady_ms) free += asks_most(peer) - std::min(asks_most(peer), peer.entries_asked);
  });
  for (auto at = pulls_.begin(); at != pulls_.end() && free > 0;) {
    auto& [feed, pull] = *at;
    if (pull.peer || pull.waiting || pull.not_before_ms > now_.steady_ms) {
      ++at;
      continue;
    }
    bool somebody = false;
    Peer* best = nullptr;
    each_up([&](const NodeId& id, Peer& peer) {
      const auto its = peer.feeds.find(feed);
      if (its == peer.feeds.end() || !authoriser_.shares(id, feed.library)) return;
      std::vector<PeerFeed::Open>& open = its->second.open;
      const bool may_be_asked = peer.control_paused_until_ms <= now_.steady_ms && peer.entries_asked < asks_most(peer);
      if (may_be_asked && (best == nullptr || peer.entries_asked < best->entries_asked)) {
        for (std::size_t i = open.size(); i-- > 0;) {
          if (open[i].not_before_ms > now_.steady_ms) continue;
          const auto next = store_.next(open[i].point);
          if (next && next->value > 0) {
            best = &peer;
            pull.peer = id;
            pull.point = open[i].point;
            pull.from = *next;
            break;
          }
          open.erase(open.begin() + static_cast<std::ptrdiff_t>(i));
        }
      }
      somebody = somebody || !open.empty();
    });
    if (best != nullptr) {
      pull.until_ms = now_.steady_ms + answer_ms;
      ++best->entries_asked;
      --free;
      send(*pull.peer, EntriesWanted{pull.point, pull.from});
    } else if (!somebody) {
      at = pulls_.erase(at);
      continue;
    }
    ++at;
  }
}

void Sync::Body::give_up_entries(Pull& pull) {
  if (!pull.peer) return;
  if (Peer* peer = up(*pull.peer)) --peer->entries_asked;
  pull.peer.reset();
}

bool Sync::Body::hear(const NodeId& from, Peer&, EntriesWanted&& it) {
  if (!serves(from, it.point.feed.library)) return false;
  EntriesGiven given{it.point, it.from, {}, {}, {}};
  if (auto batch = store_.entries(it.point, it.from, entries_bytes_most)) {
    std::size_t bytes = 0;
    const bool fits = batch->entries.size() <= entries_most && batch->head_note.size() <= note_bytes_most && batch->proof.size() <= proof_hashes_most &&
                      std::ranges::all_of(batch->entries, [&](const Bytes& entry) {
                        bytes += entry.size() + 4;
                        return entry.size() <= entry_bytes_most && bytes <= control_bytes_most - (64U << 10);
                      });
    if (fits) given = {it.point, it.from, std::move(batch->entries), std::move(batch->head_note), std::move(batch->proof)};
  }
  send(from, given);
  return true;
}

bool Sync::Body::hear(const NodeId& from, Peer& peer, EntriesGiven&& it) {
  const FeedId& feed = it.point.feed;
  if (!authoriser_.shares(from, feed.library)) return false;
  const auto at = pulls_.find(feed);
  if (at == pulls_.end() || at->second.peer != from || at->second.point != it.point || at->second.from != it.from) return true;  // late, or nobody asked
  Pull& pull = at->second;
  give_up_entries(pull);
  peer.entries_bytes = 0;
  for (const Bytes& entry : it.entries) peer.entries_bytes += entry.size();
  if (it.entries.empty()) {
    if (const auto its = peer.feeds.find(feed); its != peer.feeds.end()) {
      std::erase_if(its->second.open, [&](const PeerFeed::Open& open) { return open.point == it.point; });
    }
    return true;
  }
  accept(pull, from, it.point, it.from, {std::move(it.entries), std::move(it.head_note), std::move(it.proof)});
  return true;
}

void Sync::Body::accept(Pull& pull, const NodeId& from, const FeedPoint& point, Sequence first, Batch&& batch) {
  const auto lists = store_.accept_entries(point, first, batch);
  if (!lists) return accept_fault(pull, from, point, first, lists.error().fault);
  if (lists->empty()) {
    feeds_changed(point.feed.library);
    wait_without_progress(from, point, first);
    return;
  }
  std::size_t bytes = batch.head_note.size() + batch.proof.size() * Digest::size;
  for (const Bytes& entry : batch.entries) bytes += entry.size() + sizeof(Bytes);
  if (waiting_bytes_ + bytes > waiting_bytes_most) {
    pull.not_before_ms = now_.steady_ms + answer_ms;
    return;
  }
  waiting_bytes_ += bytes;
  for (const Digest& list : *lists) fetch_.want({point.feed.library, ObjectKind::list, list}, 0, 0);
  pull.waiting = Pull::Waiting{from, point, first, std::move(batch), {lists->begin(), lists->end()}, bytes, now_.steady_ms + lists_ms};
}

/// This point is not asked of this peer until then: of another one it may be.
PeerFeed::Open* Sync::Body::put_off(const NodeId& from, const FeedPoint& point, std::int64_t until_ms) {
  Peer* peer = up(from);
  PeerFeed::Open* open = peer != nullptr ? open_point(*peer, point) : nullptr;
  if (open != nullptr) *open = {point, until_ms};
  return open;
}

/// What would be asked for again just as it was, is not at once.
void Sync::Body::wait_without_progress(const NodeId& from, const FeedPoint& point, Sequence first) {
  const auto next = store_.next(point);
  if (next && *next == first) put_off(from, point, now_.steady_ms + answer_ms);
}

void Sync::Body::accept_fault(Pull& pull, const NodeId& from, const FeedPoint& point, Sequence first, Fault fault) {
  switch (fault) {
    case Fault::not_found:  // documents that are not here yet: they are wanted now
      if (PeerFeed::Open* open = put_off(from, point, now_.steady_ms + answer_ms)) open->waits_for_documents = true;
      documents_due_ = true;
      return;
    case Fault::unavailable:
    case Fault::corrupt:  // this node's own trouble
      pull.not_before_ms = now_.steady_ms + answer_ms;
      return;
    case Fault::stale:   // they came another way, or the peer gave others than it was asked for
    case Fault::exists:  // a fork: asked for from elsewhere on
      return wait_without_progress(from, point, first);
    default:
      if (Peer* peer = up(from)) ++peer->status.refused;
      put_off(from, point, now_.steady_ms + distrust_ms);
  }
}

bool Sync::Body::wanted_by_entries(const ObjectId& list) const {
  for (auto at = pulls_.lower_bound({list.library, {}, {}}); at != pulls_.end() && at->first.library == list.library; ++at) {
    if (at->second.waiting && at->second.waiting->lists.contains(list.sha256)) return true;
  }
  return false;
}

/// Entries that waited for nothing else go on.
void Sync::Body::list_came(const ObjectId& list) {
  for (auto at = pulls_.lower_bound({list.library, {}, {}}); at != pulls_.end() && at->first.library == list.library; ++at) {
    Pull& pull = at->second;
    if (!pull.waiting || pull.waiting->lists.erase(list.sha256) == 0 || !pull.waiting->lists.empty()) continue;
    Pull::Waiting waiting = std::move(*pull.waiting);
    pull.waiting.reset();
    waiting_bytes_ -= waiting.bytes;
    accept(pull, waiting.peer, waiting.point, waiting.from, std::move(waiting.batch));
  }
}

}  // namespace dozo::sync

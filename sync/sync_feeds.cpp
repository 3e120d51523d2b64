#include <algorithm>

#include "sync/sync_body.h"

namespace dozo::sync {

bool Sync::Body::hear(const NodeId& from, Peer& peer, FeedHeads&& it) {
  if (!authoriser_.shares(from, it.library)) return false;
  if (!std::ranges::is_sorted(it.feeds, std::less_equal<>{}, &FeedPoint::feed)) return false;
  if (std::ranges::any_of(it.feeds, [&](const FeedPoint& point) { return point.feed.library != it.library; })) return false;
  for (const FeedPoint& point : it.feeds) note_head(from, peer, point);
  return true;
}

void Sync::Body::note_head(const NodeId& from, Peer& peer, const FeedPoint& point) {
  if (point.sequence.value == 0) return;
  const FeedPoint* ours = inventories_.of(point.feed.library).find(point.feed);
  const Sequence known = ours != nullptr ? ours->sequence : Sequence{};
  auto head = peer.heads.find(point.feed);
  if (head == peer.heads.end()) {
    if (peer.heads.size() >= heads_most) return;
    head = peer.heads.emplace(point.feed, PeerHead{}).first;
  } else if (head->second.sequence == point.sequence && head->second.root == point.root && known >= point.sequence) {
    return;  // looked at before
  }
  head->second.sequence = point.sequence;
  head->second.root = point.root;
  if (point.sequence > known) {
    pulls_.try_emplace(point.feed).first->second.known = known;
    return;
  }
  Result<Digest> root = point.sequence == known ? Result<Digest>(ours->root) : store_.root_at(point.feed, point.sequence);
  if (!root || *root == point.root || head->second.fork_told) return;
  head->second.fork_told = true;
  out_.push_back(ForkSeen{from, point.feed});
}

/// Each feed of one peer at a time, the one of which least is asked.
void Sync::Body::ask_for_entries() {
  std::size_t free = 0;
  each_up([&](const NodeId&, const Peer& peer) {
    if (peer.control_paused_until_ms <= now_.steady_ms) free += entries_asks_most - peer.entries_asked;
  });
  for (auto at = pulls_.begin(); at != pulls_.end() && free > 0;) {
    auto& [feed, pull] = *at;
    if (pull.peer || pull.waiting || pull.not_before_ms > now_.steady_ms) {
      ++at;
      continue;
    }
    bool ahead = false;
    std::pair<NodeId, Peer*> best{{}, nullptr};
    each_up([&, &feed = feed, &pull = pull](const NodeId& id, Peer& peer) {
      const auto head = peer.heads.find(feed);
      if (head == peer.heads.end() || head->second.sequence <= pull.known || !authoriser_.shares(id, feed.library)) return;
      ahead = true;
      if (head->second.not_before_ms > now_.steady_ms || peer.control_paused_until_ms > now_.steady_ms || peer.entries_asked == entries_asks_most) return;
      if (best.second == nullptr || peer.entries_asked < best.second->entries_asked) best = {id, &peer};
    });
    if (!ahead) {
      at = pulls_.erase(at);
      continue;
    }
    if (best.second != nullptr) {
      pull.peer = best.first;
      pull.until_ms = now_.steady_ms + answer_ms;
      ++best.second->entries_asked;
      --free;
      send(best.first, EntriesWanted{feed, {pull.known.value + 1}});
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
  if (!authoriser_.shares(from, it.feed.library)) return false;
  EntriesGiven given{it.feed, it.from, {}, {}, {}};
  if (auto batch = store_.entries(it.feed, it.from, entries_bytes_most)) {
    std::size_t bytes = 0;
    const bool fits = batch->entries.size() <= entries_most && batch->head_note.size() <= note_bytes_most && batch->proof.size() <= proof_hashes_most &&
                      std::ranges::all_of(batch->entries, [&](const Bytes& entry) {
                        bytes += entry.size() + 4;
                        return entry.size() <= entry_bytes_most && bytes <= control_bytes_most - (64U << 10);
                      });
    if (fits) given = {it.feed, it.from, std::move(batch->entries), std::move(batch->head_note), std::move(batch->proof)};
  }
  send(from, given);
  return true;
}

bool Sync::Body::hear(const NodeId& from, Peer& peer, EntriesGiven&& it) {
  if (!authoriser_.shares(from, it.feed.library)) return false;
  const auto at = pulls_.find(it.feed);
  if (at == pulls_.end() || at->second.peer != from || it.from.value != at->second.known.value + 1) return true;  // late, or nobody asked
  Pull& pull = at->second;
  give_up_entries(pull);
  if (it.entries.empty()) {
    peer.heads.erase(it.feed);
    return true;
  }
  Batch batch{std::move(it.entries), std::move(it.head_note), std::move(it.proof)};
  auto lists = store_.lists_wanted(it.feed, it.from, batch);
  if (!lists) {
    accept_fault(it.feed, pull, from, lists.error().fault);
    return true;
  }
  if (lists->empty()) {
    accept(it.feed, pull, from, it.from, std::move(batch));
    return true;
  }
  std::size_t bytes = batch.head_note.size() + batch.proof.size() * Digest::size;
  for (const Bytes& entry : batch.entries) bytes += entry.size() + sizeof(Bytes);
  if (waiting_bytes_ + bytes > waiting_bytes_most) {
    pull.not_before_ms = now_.steady_ms + answer_ms;
    return true;
  }
  waiting_bytes_ += bytes;
  for (const Digest& list : *lists) fetch_.want({it.feed.library, ObjectKind::list, list}, 0, 0);
  pull.waiting = Pull::Waiting{from, it.from, std::move(batch), {lists->begin(), lists->end()}, bytes, now_.steady_ms + lists_ms};
  return true;
}

void Sync::Body::accept(const FeedId& feed, Pull& pull, const NodeId& from, Sequence first, Batch&& batch) {
  const auto accepted = store_.accept_entries(feed, first, batch);
  if (!accepted) return accept_fault(feed, pull, from, accepted.error().fault);
  pull.known = std::max(pull.known, Sequence{first.value + batch.entries.size() - 1});
  pull.waits_for_documents = false;
  feeds_changed(feed.library);
}

void Sync::Body::accept_fault(const FeedId& feed, Pull& pull, const NodeId& from, Fault fault) {
  Peer* peer = up(from);
  switch (fault) {
    case Fault::not_found:  // documents that are not here yet: they are wanted now
      pull.waits_for_documents = true;
      pull.not_before_ms = now_.steady_ms + answer_ms;
      documents_due_ = true;
      return;
    case Fault::unavailable:
    case Fault::corrupt:  // this node's own trouble
      pull.not_before_ms = now_.steady_ms + answer_ms;
      return;
    case Fault::stale: {  // they came another way, or the peer gave others than it was asked for
      inventories_.feeds_changed(feed.library);
      const FeedPoint* ours = inventories_.of(feed.library).find(feed);
      const Sequence known = ours != nullptr ? ours->sequence : Sequence{};
      if (known == pull.known && peer != nullptr) peer->heads[feed].not_before_ms = now_.steady_ms + answer_ms;
      pull.known = known;
      return;
    }
    default:
      if (peer == nullptr) return;
      ++peer->status.refused;
      peer->heads[feed].not_before_ms = now_.steady_ms + distrust_ms;
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
    accept(at->first, pull, waiting.peer, waiting.from, std::move(waiting.batch));
  }
}

}  // namespace dozo::sync

#include "sync/sync.h"

#include <algorithm>

#include "base/invariant.h"
#include "sync/sync_body.h"

namespace dozo::sync {

namespace {

Channel channel_of(const Message& message) {
  return std::holds_alternative<SliceWanted>(message) || std::holds_alternative<SliceGiven>(message) || std::holds_alternative<ObjectUnavailable>(message)
             ? Channel::bulk
             : Channel::control;
}

bool same(const State& a, const State& b) { return a.realm == b.realm && a.documents == b.documents && a.libraries == b.libraries; }

}  // namespace

Sync::Body::Body(ObjectStore& store, Authoriser& authoriser)
    : store_(store),
      authoriser_(authoriser),
      inventories_(store),
      fetch_([this](const NodeId& peer, const LibraryId& library) { return authoriser_.shares(peer, library); }) {}

std::vector<Output> Sync::Body::on(const Input& input, Now now) {
  now_ = now;
  std::visit([&](const auto& it) { take(it); }, input);
  if (flush_due_ms_ && *flush_due_ms_ <= now_.steady_ms) flush();
  if (peers_due_ms_ <= now_.steady_ms) {
    each_up([&](const NodeId& id, Peer& peer) {
      if (peer.state_due_ms <= now_.steady_ms) send_state(id, peer);
    });
    compare_when_due();
    peers_due_ms_ = std::numeric_limits<std::int64_t>::max();
    each_up([&](const NodeId&, const Peer& peer) {
      due(peer.state_due_ms);
      if (peer.compare_due_ms) due(*peer.compare_due_ms);
    });
  }
  housekeep();
  ask_for_documents();
  ask_for_entries();
  ask_for_statements();
  look_for_packs();
  fetch_.pump(now_, keeping_bytes_ < keeping_bytes_most, [this](const NodeId& peer, const SliceWanted& wanted) { send(peer, wanted); });
  if (const auto wake = next_wake()) out_.push_back(WakeAt{*wake});
  return std::exchange(out_, {});
}

std::map<NodeId, PeerStatus> Sync::Body::peers() const {
  std::map<NodeId, PeerStatus> out;
  for (const auto& [id, peer] : peers_) {
    PeerStatus status = peer.status;
    status.in_step = status.up && peer.theirs && peer.sent && same(*peer.theirs, *peer.sent);
    out.emplace(id, status);
  }
  return out;
}

void Sync::Body::send(const NodeId& to, const Message& message) {
  Peer& peer = peers_[to];
  const Channel channel = channel_of(message);
  Bytes bytes = encode(message);
  INVARIANT(bytes.size() <= (channel == Channel::bulk ? bulk_bytes_most : control_bytes_most));
  peer.status.sent_bytes += bytes.size();
  out_.push_back(Send{to, channel, std::move(bytes)});
}

Peer* Sync::Body::up(const NodeId& id) {
  const auto it = peers_.find(id);
  return it != peers_.end() && it->second.status.up ? &it->second : nullptr;
}

// ---- inputs ------------------------------------------------------------------------------------------------------------

void Sync::Body::take(const LinkUp& it) {
  take(LinkDown{it.peer});  // whatever was under way over an older link
  Peer& peer = peers_[it.peer];
  peer.status.up = true;
  peer.state_due_ms = now_.steady_ms;
  due(peer.state_due_ms);
  fetch_.add_peer(it.peer);
  for (const LibraryId& library : authoriser_.shared_libraries(it.peer)) look_[library] = true;
}

void Sync::Body::take(const LinkDown& it) {
  const auto found = peers_.find(it.peer);
  if (found == peers_.end()) return;
  fetch_.drop_peer(it.peer);
  const PeerStatus status = found->second.status;
  found->second = {};
  found->second.status = status;
  found->second.status.up = false;
  for (auto& [feed, pull] : pulls_) {
    if (pull.peer == it.peer) pull.peer.reset();
  }
  for (auto& [key, wanted] : documents_) {
    if (wanted.peer == it.peer) wanted.peer.reset();
    wanted.waits.erase(it.peer);
  }
  documents_due_ = true;
}

void Sync::Body::take(const Received& it) {
  Peer* peer = up(it.peer);
  if (peer == nullptr) return;
  peer->status.received_bytes += it.bytes.size();
  auto message = decode(it.bytes, it.channel == Channel::bulk ? bulk_bytes_most : control_bytes_most);
  const bool heard = message && channel_of(*message) == it.channel && std::visit([&](auto& held) { return hear(it.peer, *peer, std::move(held)); }, *message);
  if (!heard) ++peer->status.refused;
}

void Sync::Body::take(const ReceivedFromStranger& it) {
  auto message = decode(it.bytes, introduction_bytes_most);
  auto* given = message ? std::get_if<DocumentsGiven>(&*message) : nullptr;
  if (given == nullptr) return;
  // Each costs the checking of a signature: who sends one that is not this realm's has sent enough. An older build sends more at a time, first things first.
  given->envelopes.resize(std::min(given->envelopes.size(), strangers_documents_most));
  const Offers offers = offer(given->envelopes);
  if (offers.changed) documents_changed(true);
  if (offers.authentic == 0) return;
  const DocumentVersions versions = store_.versions(now_);
  out_.push_back(AnswerStranger{it.token, encode(Versions{store_.realm(), versions.root, versions.policy, versions.freshness})});
}

void Sync::Body::take(const Changed& it) {
  if (!it.library) return documents_changed(false);
  feeds_changed(*it.library);
  statements_changed(*it.library);
}

void Sync::Body::take(const SendRefused& it) {
  Peer* peer = up(it.peer);
  if (peer == nullptr) return;
  if (it.channel == Channel::bulk) {
    fetch_.pause(it.peer, now_.steady_ms + refused_bulk_ms);
    return fetch_.ask_again(it.peer);
  }
  // Which message it was is not known: whatever was asked may not have been.
  const std::int64_t again_ms = now_.steady_ms + refused_again_ms;
  peer->state_due_ms = peer->control_paused_until_ms = again_ms;
  due(again_ms);
  peer->sent.reset();
  peer->looked.clear();
  peer->suspensions_asked.reset();
  peer->other_face_asked.reset();
  peer->statements_due.merge([&] {
    std::map<StatementKey, std::uint64_t> again;
    statements_busy_ = true;
    for (const auto& [key, until_ms] : peer->statements_asked) again.emplace(key, std::numeric_limits<std::uint64_t>::max());
    return again;
  }());
  peer->statements_asked.clear();
  for (auto& [feed, pull] : pulls_) {
    if (pull.peer == it.peer) give_up_entries(pull);
  }
  for (auto& [key, wanted] : documents_) {
    if (wanted.peer == it.peer) wanted.peer.reset();
  }
}

// ---- states ------------------------------------------------------------------------------------------------------------

std::vector<LibraryState> Sync::Body::library_states(const NodeId& peer) {
  std::vector<LibraryState> out;
  for (const LibraryId& library : authoriser_.shared_libraries(peer)) {
    if (out.size() == libraries_most) break;
    out.push_back(inventories_.of(library).state);
  }
  return out;
}

State Sync::Body::state_for(const NodeId& peer) { return {store_.realm(), store_.versions(now_), hash_of(library_states(peer))}; }

void Sync::Body::send_state(const NodeId& id, Peer& peer) {
  peer.state_due_ms = now_.steady_ms + state_every_ms;
  due(peer.state_due_ms);
  documents_due_of_.insert(id);
  if (!authoriser_.knows(id)) return;
  for (const LibraryId& library : authoriser_.shared_libraries(id)) look_.emplace(library, false);  // should a change not have been told
  peer.sent = state_for(id);
  send(id, *peer.sent);
}

bool Sync::Body::differs(const NodeId& id, const Peer& peer) { return peer.theirs && peer.theirs->libraries != hash_of(library_states(id)); }

bool Sync::Body::hear(const NodeId& from, Peer& peer, State&& it) {
  if (it.realm != store_.realm() || !authoriser_.knows(from)) return false;
  const bool first = !peer.theirs;
  peer.theirs = it;
  documents_due_of_.insert(from);
  if (!differs(from, peer)) {
    peer.compare_due_ms.reset();
    peer.looked.clear();
  } else if (first) {
    peer.compare_due_ms = peer.compare_latest_due_ms = now_.steady_ms;
    due(now_.steady_ms);
  } else if (!peer.compare_due_ms) {
    peer.compare_due_ms = now_.steady_ms + compare_grace_ms;
    due(*peer.compare_due_ms);
    peer.compare_latest_due_ms = now_.steady_ms + compare_latest_ms;
  }
  return true;
}

/// Shows the peers, whose State still differs, how this node stands.
void Sync::Body::compare_when_due() {
  each_up([&](const NodeId& id, Peer& peer) {
    if (!peer.compare_due_ms || *peer.compare_due_ms > now_.steady_ms) return;
    if (!authoriser_.knows(id) || !differs(id, peer)) {
      peer.compare_due_ms.reset();
      return;
    }
    if (peer.control_paused_until_ms > now_.steady_ms) {
      peer.compare_due_ms = peer.control_paused_until_ms;
      return;
    }
    if ((peer.entries_asked > 0 || !peer.statements_asked.empty()) && now_.steady_ms < peer.compare_latest_due_ms) {
      peer.compare_due_ms = now_.steady_ms + compare_grace_ms;
      return;
    }
    peer.compare_due_ms.reset();
    send_library_states(id, library_states(id), false);
  });
}

void Sync::Body::send_library_states(const NodeId& id, std::vector<LibraryState> states, bool answer) { send(id, LibraryStates{std::move(states), answer}); }

bool Sync::Body::hear(const NodeId& from, Peer& peer, LibraryStates&& it) {
  if (!std::ranges::is_sorted(it.libraries, std::less_equal<>{}, &LibraryState::library)) return false;
  if (!authoriser_.knows(from)) return false;
  std::vector<LibraryState> ours;
  for (const LibraryState& theirs : it.libraries) {
    if (!authoriser_.shares(from, theirs.library)) continue;
    const Inventory& inventory = inventories_.of(theirs.library);
    if (inventory.state == theirs) {
      peer.looked.erase(theirs.library);
      continue;
    }
    ours.push_back(inventory.state);
    const Digest our_hash = hash_of({inventory.state}), their_hash = hash_of({theirs});
    Peer::Looked& looked = peer.looked[theirs.library];
    const bool as_before = looked.ours == our_hash && looked.theirs == their_hash;
    if (as_before && now_.steady_ms < looked.again_ms) continue;
    looked = {our_hash, their_hash, 0, as_before ? std::min(2 * looked.step_ms, look_again_most_ms) : look_again_first_ms};
    looked.again_ms = now_.steady_ms + looked.step_ms;
    send(from,
         LibraryWanted{theirs.library, inventory.buckets, inventory.state.feeds != theirs.feeds, inventory.state.statements != theirs.statements, {}, {}});
  }
  if (!it.answer && !ours.empty()) send_library_states(from, std::move(ours), true);
  return true;
}

bool Sync::Body::serves(const NodeId& peer, const LibraryId& library) {
  const bool out = authoriser_.shares(peer, library);
  if (!out) authoriser_.note_refused(peer, library);
  return out;
}

bool Sync::Body::hear(const NodeId& from, Peer&, LibraryWanted&& it) {
  if (!serves(from, it.library)) return false;
  const Inventory& inventory = inventories_.of(it.library);
  if (it.feeds) {
    FeedHeads heads{it.library, {}};
    std::array<std::size_t, bucket_count> counts{};
    for (const FeedPoint& point : inventory.feeds) ++counts[bucket_of(point.feed)];
    // Whole buckets first, as many as fit; what does not fit differs in the next round too.
    std::array<bool, bucket_count> told{};
    std::size_t count = 0;
    for (std::size_t i = 0; i < bucket_count; ++i) {
      if (it.buckets[i] == inventory.buckets[i] || (count > 0 && count + counts[i] > feeds_most)) continue;
      told[i] = true;
      count += counts[i];
    }
    for (const FeedPoint& point : inventory.feeds) {
      if (told[bucket_of(point.feed)] && heads.feeds.size() < feeds_most) heads.feeds.push_back(point);
    }
    send(from, heads);
  }
  if (it.statements) {
    StatementMarks marks{it.library, {}, false};
    std::size_t bytes = 0;
    const StatementMark after{it.after_signer, it.after_subject, std::numeric_limits<std::uint64_t>::max()};
    const bool from_start = it.after_signer.is_zero() && it.after_subject.empty();
    for (auto at = from_start ? inventory.marks.begin() : std::ranges::upper_bound(inventory.marks, after); at != inventory.marks.end(); ++at) {
      bytes += NodeId::size + 12 + at->subject.size();
      if (marks.marks.size() == statements_most || bytes > control_bytes_most / 2) {
        marks.more = true;
        break;
      }
      marks.marks.push_back(*at);
    }
    send(from, marks);
  }
  return true;
}

void Sync::Body::feeds_changed(const LibraryId& library) {
  inventories_.feeds_changed(library);
  changed_.insert(library);
  look_[library] = true;
  if (!flush_due_ms_) flush_due_ms_ = std::max(now_.steady_ms, last_flush_ms_ + flush_every_ms);
}

void Sync::Body::statements_changed(const LibraryId& library) {
  inventories_.statements_changed(library);
  changed_.insert(library);
  if (!flush_due_ms_) flush_due_ms_ = std::max(now_.steady_ms, last_flush_ms_ + flush_every_ms);
}

/// Anything may have changed, what the policy says of peers too.
void Sync::Body::documents_changed(bool offered) {
  documents_due_ = true;
  inventories_.all_changed();
  all_changed_ = true;
  if (!flush_due_ms_) flush_due_ms_ = std::max(now_.steady_ms, last_flush_ms_ + flush_every_ms);
  each_up([&](const NodeId& id, Peer& peer) {
    for (const LibraryId& library : authoriser_.shared_libraries(id)) look_[library] = true;
    if (peer.theirs && !peer.compare_due_ms) {
      peer.compare_due_ms = now_.steady_ms + compare_grace_ms;
      due(*peer.compare_due_ms);
      peer.compare_latest_due_ms = now_.steady_ms + compare_latest_ms;
    }
  });
  for (auto& [id, peer] : peers_) {
    for (auto& [feed, its] : peer.feeds) {
      for (PeerFeed::Open& open : its.open) {
        if (!open.waits_for_documents) continue;
        open.not_before_ms = std::min(open.not_before_ms, offered ? now_.steady_ms : now_.steady_ms + housekeeping_ms);
      }
    }
  }
}

/// Tells the peers what is new, and then where this node stands.
void Sync::Body::flush() {
  flush_due_ms_.reset();
  last_flush_ms_ = now_.steady_ms;
  drop_packs_not_missing();
  std::map<LibraryId, Inventories::News> news;
  each_up([&](const NodeId& id, Peer& peer) {
    if (!authoriser_.knows(id) || peer.control_paused_until_ms > now_.steady_ms) return;
    for (const LibraryId& library : authoriser_.shared_libraries(id)) {
      if (!all_changed_ && !changed_.contains(library)) continue;
      auto its = news.find(library);
      if (its == news.end()) {
        its = news.emplace(library, inventories_.news(library)).first;
        for (const FeedPoint& point : its->second.feeds) {
          if (inventories_.of(library).lines_of(point.feed) > 1 && forks_told_.insert(point.feed).second) out_.push_back(ForkSeen{point.feed});
        }
      }
      FeedHeads heads{library, {}};
      for (const FeedPoint& point : its->second.feeds) {
        const auto told = peer.feeds.find(point.feed);
        if (told == peer.feeds.end() || told->second.told != point) heads.feeds.push_back(point);
      }
      if (!heads.feeds.empty() && heads.feeds.size() <= news_most) send(id, heads);
      const std::vector<StatementMark>& marks = its->second.marks;
      if (!marks.empty() && marks.size() <= news_most) send(id, StatementMarks{library, marks, false});
    }
    if (!peer.sent || !same(*peer.sent, state_for(id))) send_state(id, peer);
  });
  changed_.clear();
  all_changed_ = false;
}

// ---- timers ------------------------------------------------------------------------------------------------------------

void Sync::Body::housekeep() {
  fetch_.expire(now_);
  if (now_.steady_ms < housekeeping_due_ms_) return;
  housekeeping_due_ms_ = now_.steady_ms + housekeeping_ms;
  for (auto& [feed, pull] : pulls_) {
    if (pull.peer && pull.until_ms <= now_.steady_ms) {
      put_off(*pull.peer, pull.point, now_.steady_ms + answer_ms);
      give_up_entries(pull);
    }
    if (pull.waiting && pull.waiting->until_ms <= now_.steady_ms) {
      for (const Digest& list : pull.waiting->lists) fetch_.forget({feed.library, ObjectKind::list, list});
      waiting_bytes_ -= pull.waiting->bytes;
      put_off(pull.waiting->peer, pull.waiting->point, now_.steady_ms + distrust_ms);
      pull.waiting.reset();
    }
  }
  for (auto& [id, peer] : peers_) std::erase_if(peer.statements_asked, [&](const auto& asked) { return asked.second <= now_.steady_ms; });
  for (auto& [key, wanted] : documents_) {
    if (!wanted.peer || wanted.until_ms > now_.steady_ms) continue;
    answered_documents(NodeId(*wanted.peer), false);
  }
}

std::optional<std::int64_t> Sync::Body::next_wake() {
  std::optional<std::int64_t> out = flush_due_ms_;
  const auto sooner = [&](std::int64_t at_ms) { out = out ? std::min(*out, at_ms) : at_ms; };
  bool busy = !pulls_.empty() || statements_busy_;
  for (const auto& [key, wanted] : documents_) busy = busy || wanted.peer;
  if (peers_due_ms_ != std::numeric_limits<std::int64_t>::max()) sooner(peers_due_ms_);
  if (busy) sooner(housekeeping_due_ms_);
  if (const auto fetch = fetch_.expire(now_)) sooner(*fetch);
  if (out) out = std::max(*out, now_.steady_ms + 1);
  return out;
}

// ---- Sync --------------------------------------------------------------------------------------------------------------

Sync::Sync(ObjectStore& store, Authoriser& authoriser) : body_(std::make_unique<Body>(store, authoriser)) {}
Sync::~Sync() = default;
std::vector<Output> Sync::on(const Input& input, Now now) { return body_->on(input, now); }
std::map<NodeId, PeerStatus> Sync::peers() const { return body_->peers(); }
std::size_t Sync::packs_in_flight() const { return body_->packs_in_flight(); }

Bytes Sync::introduction(const std::vector<Bytes>& envelopes) {
  DocumentsGiven given;
  std::size_t bytes = 16;
  for (const Bytes& envelope : envelopes) {
    if (given.envelopes.size() == strangers_documents_most || bytes + envelope.size() + 4 > introduction_bytes_most) continue;
    bytes += envelope.size() + 4;
    given.envelopes.push_back(envelope);
  }
  return encode(given);
}

Result<Versions> Sync::read_answer(ByteView bytes) {
  const Message message = TRY(decode(bytes, 256));
  const auto* versions = std::get_if<Versions>(&message);
  if (versions == nullptr) return fail(Fault::malformed, "an answer to an introduction that is something else");
  return *versions;
}

}  // namespace dozo::sync

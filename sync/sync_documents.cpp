#include <algorithm>
#include <string_view>
#include <tuple>

#include "sync/sync_body.h"

namespace dozo::sync {

bool Sync::Body::may_have(const Peer& peer, const DocumentWant& want) const {
  if (!peer.theirs) return false;
  if (want.name == "root") return peer.theirs->documents.root >= want.version;
  if (want.or_later) return peer.theirs->documents.freshness >= want.version;
  return true;
}

/// Each document of one peer at a time, and of the next one when that had it not.
void Sync::Body::ask_for_documents() {
  if (!std::exchange(documents_due_, false)) return;
  std::map<NodeId, DocumentsWanted> asks;
  std::set<std::tuple<std::string, std::uint64_t, Digest>> still;
  for (const DocumentWant& want : store_.wants()) {
    const std::tuple<std::string, std::uint64_t, Digest> key{want.name, want.version, want.sha256.value_or(Digest{})};
    still.insert(key);
    WantedDocument& wanted = documents_[key];
    if (wanted.peer) continue;
    each_up([&](const NodeId& id, Peer& peer) {
      if (wanted.peer || peer.control_paused_until_ms > now_.steady_ms || !authoriser_.knows(id) || !may_have(peer, want)) return;
      if (asks.contains(id) && asks.at(id).wants.size() == documents_most) return;
      const auto wait = wanted.waits.find(id);
      if (wait != wanted.waits.end() && wait->second.until_ms > now_.steady_ms && wait->second.versions == peer.theirs->documents) return;
      wanted.peer = id;
      wanted.until_ms = now_.steady_ms + answer_ms;
      asks[id].wants.push_back(want);
    });
  }
  std::erase_if(documents_, [&](const auto& it) { return !still.contains(it.first); });

  const DocumentVersions ours = store_.versions(now_);
  each_up([&](const NodeId& id, Peer& peer) {
    if (!peer.theirs || !authoriser_.knows(id) || peer.control_paused_until_ms > now_.steady_ms) return;
    const Digest& theirs = peer.theirs->documents.suspensions;
    const std::pair asked{ours.suspensions, theirs};
    if (theirs == ours.suspensions || peer.suspensions_asked == asked || peer.suspensions_again_ms > now_.steady_ms) return;
    peer.suspensions_asked = asked;
    asks[id].suspensions = true;
  });
  for (auto& [id, ask] : asks) send(id, ask);
}

bool Sync::Body::hear(const NodeId& from, Peer&, DocumentsWanted&& it) {
  if (!authoriser_.knows(from)) return false;
  // Each want is read and hashed: one that comes twice is no question.
  std::set<std::tuple<std::string_view, std::uint64_t, Digest>> asked;
  for (const DocumentWant& want : it.wants)
    if (!asked.emplace(want.name, want.version, want.sha256.value_or(Digest{})).second) return false;
  DocumentsGiven given;
  std::size_t bytes = 16;
  bool full = false;  // what did not fit is asked for again
  const auto add = [&](Bytes&& envelope) {
    full = full || given.envelopes.size() == documents_most || bytes + envelope.size() + 4 > control_bytes_most;
    if (full || envelope.size() > document_bytes_most) return;
    bytes += envelope.size() + 4;
    given.envelopes.push_back(std::move(envelope));
  };
  for (const DocumentWant& want : it.wants) {
    if (full) break;
    if (auto envelope = store_.document(want)) add(std::move(*envelope));
  }
  // Last: by a key of the root that is asked for with them, they are authentic after that, and what follows one that is not is not looked at.
  if (it.suspensions) {
    for (Bytes& envelope : store_.suspensions(now_)) add(std::move(envelope));
  }
  send(from, given);  // with nothing in it too: then another one is asked
  return true;
}

bool Sync::Body::hear(const NodeId& from, Peer& peer, DocumentsGiven&& it) {
  if (!authoriser_.knows(from)) return false;
  const Offers offers = offer(it.envelopes);
  if (!offers.kept) {
    peer.suspensions_asked.reset();
    peer.suspensions_again_ms = now_.steady_ms + answer_ms;
  }
  answered_documents(from, offers.changed && offers.kept);
  if (offers.changed) documents_changed(true);
  return offers.authentic == it.envelopes.size();
}

/// One after the other, up to the first that is not authentic: whatever follows it is not looked at.
Sync::Body::Offers Sync::Body::offer(const std::vector<Bytes>& envelopes) {
  Offers out;
  for (const Bytes& envelope : envelopes) {
    const ObjectStore::Offered offered = store_.offer(envelope, now_);
    if (!offered.authentic) break;
    ++out.authentic;
    out.changed = out.changed || offered.changed;
    out.kept = out.kept && offered.kept;
  }
  return out;
}

/// What it was asked for is here now, or did not fit, or it has it not: it is believed to have the rest as long as something comes.
void Sync::Body::answered_documents(const NodeId& from, bool progress) {
  documents_due_ = true;
  const Peer* peer = up(from);
  for (auto& [key, wanted] : documents_) {
    if (wanted.peer != from) continue;
    wanted.peer.reset();
    if (progress || peer == nullptr || !peer->theirs) continue;
    WantedDocument::Wait& wait = wanted.waits[from];
    wait.step_ms = wait.versions == peer->theirs->documents ? std::clamp(2 * wait.step_ms, answer_ms, look_again_most_ms) : answer_ms;
    wait.until_ms = now_.steady_ms + wait.step_ms;
    wait.versions = peer->theirs->documents;
  }
}

}  // namespace dozo::sync

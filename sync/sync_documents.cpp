#include <algorithm>
#include <string_view>
#include <tuple>

#include "crypto/hash.h"
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
  if (!documents_due_ && documents_due_of_.empty()) return;
  const bool all = std::exchange(documents_due_, false);
  const std::set<NodeId> some = std::exchange(documents_due_of_, {});
  const auto each_due = [&](const auto& work) {
    if (all) return each_up(work);
    for (const NodeId& id : some)
      if (Peer* peer = up(id)) work(id, *peer);
  };
  std::map<NodeId, DocumentsWanted> asks;
  std::set<std::tuple<std::string, std::uint64_t, Digest>> still;
  // Who goes by a newer policy than this node has what that is made of: those first.
  const std::uint64_t own_policy = store_.versions(now_).policy;
  std::vector<std::pair<const NodeId*, Peer*>> ahead, others;
  each_due([&](const NodeId& id, Peer& peer) {
    if (peer.theirs && peer.control_paused_until_ms <= now_.steady_ms) (peer.theirs->documents.policy > own_policy ? ahead : others).emplace_back(&id, &peer);
  });
  for (const DocumentWant& want : store_.wants()) {
    const std::tuple<std::string, std::uint64_t, Digest> key{want.name, want.version, want.sha256.value_or(Digest{})};
    still.insert(key);
    WantedDocument& wanted = documents_[key];
    const auto ask_one_of = [&](const std::vector<std::pair<const NodeId*, Peer*>>& peers) {
      for (const auto& [id, peer] : peers) {
        if (!may_have(*peer, want) || !authoriser_.knows(*id)) continue;
        const auto asked = asks.find(*id);
        if (asked != asks.end() && asked->second.wants.size() == documents_most) continue;
        const auto wait = wanted.waits.find(*id);
        if (wait != wanted.waits.end() && wait->second.until_ms > now_.steady_ms && wait->second.versions == peer->theirs->documents) continue;
        wanted.peer = *id;
        wanted.until_ms = now_.steady_ms + answer_ms;
        DocumentWant& ask = asks[*id].wants.emplace_back(want);
        if (const auto part = want.sha256 ? parts_.find(*want.sha256) : parts_.end(); part != parts_.end() && part->second.giver == *id)
          ask.offset = static_cast<std::uint32_t>(part->second.bytes.size());
        return;
      }
    };
    if (!wanted.peer) ask_one_of(ahead);
    if (!wanted.peer) ask_one_of(others);
  }
  std::erase_if(documents_, [&](const auto& it) { return !still.contains(it.first); });
  std::erase_if(parts_,
                [&](const auto& it) { return std::none_of(still.begin(), still.end(), [&](const auto& want) { return std::get<Digest>(want) == it.first; }); });

  const DocumentVersions ours = store_.versions(now_);
  each_due([&](const NodeId& id, Peer& peer) {
    if (!peer.theirs || !authoriser_.knows(id) || peer.control_paused_until_ms > now_.steady_ms) return;
    // Two policies of one version: its freshness, which names the other, is the proof.
    const std::pair faces{ours.policy_sha256, peer.theirs->documents.policy_sha256};
    if (ours.policy != 0 && peer.theirs->documents.policy == ours.policy && faces.first != faces.second && peer.other_face_asked != faces &&
        asks[id].wants.size() < documents_most && std::ranges::find(asks[id].wants, "freshness", &DocumentWant::name) == asks[id].wants.end()) {
      peer.other_face_asked = faces;
      asks[id].wants.push_back({"freshness", 1, true, std::nullopt, 0});
    }
    const Digest& theirs = peer.theirs->documents.suspensions;
    const std::tuple asked{ours.suspensions, theirs, ours.policy, ours.root};
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
  // Each is read and hashed, and may be large. Of one number an honest peer wants one for each freshness that it has staged, and the one in force.
  constexpr std::size_t of_one_number_most = 8;
  std::map<std::pair<std::string_view, std::uint64_t>, std::size_t> numbers;
  for (const DocumentWant& want : it.wants)
    if (!asked.emplace(want.name, want.version, want.sha256.value_or(Digest{})).second || ++numbers[{want.name, want.version}] > of_one_number_most)
      return false;
  DocumentsGiven given;
  std::size_t bytes = 16;
  bool full = false;  // what did not fit is asked for again
  const auto add = [&](Bytes&& envelope) {
    full = full || given.envelopes.size() == documents_most || bytes + envelope.size() + 4 > control_bytes_most;
    if (full) return;
    bytes += envelope.size() + 4;
    given.envelopes.push_back(std::move(envelope));
  };
  for (const DocumentWant& want : it.wants) {
    if (full) break;
    auto envelope = store_.document(want);
    if (!envelope) continue;
    if (envelope->size() <= document_bytes_most) {
      add(std::move(*envelope));
    } else if (want.sha256 && want.offset < envelope->size() && envelope->size() <= whole_document_bytes_most) {
      const ByteView part = ByteView(*envelope).subspan(want.offset, std::min(document_part_bytes_most, envelope->size() - want.offset));
      constexpr std::size_t part_head_bytes = Digest::size + 12;
      full = given.parts.size() == document_parts_most || bytes + part.size() + part_head_bytes > control_bytes_most;
      if (full) break;
      bytes += part.size() + part_head_bytes;
      given.parts.push_back({*want.sha256, static_cast<std::uint32_t>(envelope->size()), want.offset, bytes_of(part)});
    }
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
  std::vector<Bytes> whole;
  bool honest = true;
  std::set<Digest> grown;
  for (DocumentPart& part : it.parts) {
    const Digest sha256 = part.sha256;
    if (take_part(from, std::move(part), whole, honest)) grown.insert(sha256);
  }
  Offers offers = offer(it.envelopes);
  if (!whole.empty()) {
    const Offers more = offer(whole);
    honest = honest && more.authentic == whole.size();
    offers.changed = offers.changed || more.changed;
    offers.kept = offers.kept && more.kept;
  }
  if (!offers.kept) {
    peer.suspensions_asked.reset();
    peer.suspensions_again_ms = now_.steady_ms + answer_ms;
  }
  answered_documents(from, offers.changed && offers.kept, grown);
  if (offers.changed) documents_changed(true);
  return offers.authentic == it.envelopes.size() && honest;
}

/// The next part of a document that this peer was asked for; one that is complete goes to `whole`. Whether it has grown. A part that nobody asked for is passed
/// over. One that is shorter than a part is, of another size than the first said, or completes to another hash ends what was begun, and is a lie: all of it is
/// this peer's.
bool Sync::Body::take_part(const NodeId& from, DocumentPart&& part, std::vector<Bytes>& whole, bool& honest) {
  const bool is_asked =
      std::any_of(documents_.begin(), documents_.end(), [&](const auto& it) { return std::get<Digest>(it.first) == part.sha256 && it.second.peer == from; });
  if (!is_asked || part.sha256 == Digest{}) return false;
  auto at = parts_.find(part.sha256);
  if (at != parts_.end() && at->second.giver != from) {  // the one before fell silent: what it gave is dropped
    parts_.erase(at);
    at = parts_.end();
  }
  if (part.offset != (at == parts_.end() ? 0 : at->second.bytes.size()) || (at == parts_.end() && parts_.size() == parts_most)) return false;
  if (at == parts_.end()) at = parts_.emplace(part.sha256, PartialDocument{part.total, {}, from}).first;
  PartialDocument& partial = at->second;
  bool fits = part.total == partial.total && part.total <= whole_document_bytes_most && part.total > partial.bytes.size() &&
              part.bytes.size() == std::min<std::size_t>(document_part_bytes_most, part.total - partial.bytes.size());
  if (fits) {
    append(partial.bytes, part.bytes);
    if (partial.bytes.size() < partial.total) return true;
    fits = crypto::sha256(partial.bytes) == part.sha256;
  }
  if (fits) whole.push_back(std::move(partial.bytes));
  honest = honest && fits;
  parts_.erase(at);
  return fits;
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
void Sync::Body::answered_documents(const NodeId& from, bool progress, const std::set<Digest>& grown) {
  documents_due_of_.insert(from);
  const Peer* peer = up(from);
  for (auto& [key, wanted] : documents_) {
    if (wanted.peer != from) continue;
    wanted.peer.reset();
    documents_due_ = true;  // others may have it
    if (progress || grown.contains(std::get<Digest>(key)) || peer == nullptr || !peer->theirs) continue;
    WantedDocument::Wait& wait = wanted.waits[from];
    wait.step_ms = wait.versions == peer->theirs->documents ? std::clamp(2 * wait.step_ms, answer_ms, look_again_most_ms) : answer_ms;
    wait.until_ms = now_.steady_ms + wait.step_ms;
    wait.versions = peer->theirs->documents;
  }
}

}  // namespace dozo::sync

#include <algorithm>

#include "sync/sync_body.h"

namespace dozo::sync {

bool Sync::Body::hear(const NodeId& from, Peer& peer, StatementMarks&& it) {
  if (!authoriser_.shares(from, it.library) || (it.more && it.marks.empty())) return false;
  const auto key = [](const StatementMark& mark) { return std::tie(mark.signer, mark.subject); };
  if (!std::ranges::is_sorted(it.marks, [&](const StatementMark& a, const StatementMark& b) { return key(a) <= key(b); })) return false;
  const Inventory& inventory = inventories_.of(it.library);
  for (const StatementMark& mark : it.marks) {
    const StatementMark* ours = inventory.find(mark.signer, mark.subject);
    if (ours != nullptr && ours->number >= mark.number) continue;
    statements_busy_ = true;
    if (peer.statements_due.size() < statements_due_most) peer.statements_due[{it.library, mark.signer, mark.subject}] = mark.number;
  }
  if (it.more) send(from, LibraryWanted{it.library, inventory.buckets, false, true, it.marks.back().signer, it.marks.back().subject});
  return true;
}

bool Sync::Body::asked_elsewhere(const NodeId& id, const StatementKey& key) const {
  return std::ranges::any_of(peers_, [&](const auto& other) { return other.first != id && other.second.statements_asked.contains(key); });
}

void Sync::Body::ask_for_statements() {
  if (!std::exchange(statements_busy_, false)) return;
  each_up([&](const NodeId& id, Peer& peer) {
    if (peer.control_paused_until_ms > now_.steady_ms) {
      statements_busy_ = statements_busy_ || !peer.statements_due.empty() || !peer.statements_asked.empty();
      return;
    }
    for (auto at = peer.statements_due.begin(); at != peer.statements_due.end() && peer.statements_asked.size() < statement_asks_most;) {
      const StatementKey& key = at->first;
      const auto& [library, signer, subject] = key;
      if (!authoriser_.shares(id, library)) {
        at = peer.statements_due.erase(at);
      } else if (peer.statements_asked.contains(key) || asked_elsewhere(id, key)) {
        ++at;
      } else {
        peer.statements_asked.emplace(key, now_.steady_ms + answer_ms);
        send(id, StatementWanted{library, signer, subject});
        at = peer.statements_due.erase(at);
      }
    }
    statements_busy_ = statements_busy_ || !peer.statements_due.empty() || !peer.statements_asked.empty();
  });
}

bool Sync::Body::hear(const NodeId& from, Peer&, StatementWanted&& it) {
  if (!serves(from, it.library)) return false;
  auto statement = store_.statement(it.library, it.signer, it.subject);
  if (statement && statement->bytes.size() <= statement_bytes_most) send(from, *statement);
  return true;
}

bool Sync::Body::hear(const NodeId& from, Peer& peer, StatementGiven&& it) {
  if (!authoriser_.shares(from, it.library)) return false;
  const StatementKey key{it.library, it.signer, it.subject};
  if (peer.statements_asked.erase(key) == 0) return true;  // late, or nobody asked
  const auto accepted = store_.accept_statement(it);
  if (!accepted)
    return accepted.error().fault != Fault::not_found && accepted.error().fault != Fault::unavailable && accepted.error().fault != Fault::corrupt ? false
                                                                                                                                                  : true;
  for (auto& [id, other] : peers_) {
    const auto due = other.statements_due.find(key);
    if (due != other.statements_due.end() && due->second <= it.number) other.statements_due.erase(due);
  }
  if (!*accepted) return true;
  statements_changed(it.library);
  // It says what its signer has by now.
  if (up(it.signer) != nullptr) fetch_.try_again(it.signer, now_);
  return true;
}

}  // namespace dozo::sync

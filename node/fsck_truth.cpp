// Fsck of the truth's rows, documents and feeds. Packs: fsck_packs.cpp.
#include <algorithm>

#include "crypto/checkpoint.h"
#include "node/fsck_body.h"
#include "policy/past.h"

namespace dozo::node {

using store::TruthCheck;
using store::TruthTable;

namespace {

constexpr std::size_t puts_most = 4000;  // of one transaction

std::string document_text(const store::DocumentKey& key) {
  return key.type + (key.name.empty() || key.name == key.type ? "" : " " + key.name.substr(0, 24)) + " " + std::to_string(key.version);
}

/// What a damaged row was about, as far as its key says.
std::string row_text(TruthTable table, ByteView key) {
  const std::string in = "a damaged row in table " + std::string(name_of(table));
  if (table == TruthTable::documents) {
    if (const auto it = TruthCheck::document_of(key)) return in + ": " + document_text(*it);
  } else if (table == TruthTable::entries) {
    if (const auto it = TruthCheck::entry_of(key)) return in + ": entry " + std::to_string(it->second.value) + " of " + feed_text(it->first.feed);
  } else if (table == TruthTable::heads) {
    if (const auto it = TruthCheck::branch_of(key)) return in + ": head of " + feed_text(it->feed);
  } else if (table == TruthTable::subtrees) {
    if (const auto it = TruthCheck::subtree_of(key)) return in + ": a hash of " + feed_text(it->first.feed);
  }
  return in;
}

FsckKind kind_of(TruthTable table) {
  switch (table) {
    case TruthTable::documents: return FsckKind::document;
    case TruthTable::entries:
    case TruthTable::heads: return FsckKind::feed;
    case TruthTable::subtrees: return FsckKind::subtree;
    case TruthTable::lists: return FsckKind::pack_list;
    case TruthTable::owners:
    case TruthTable::usages: return FsckKind::pack_count;
    default: return FsckKind::row;
  }
}

bool is_made_here(TruthTable table) { return table == TruthTable::owners || table == TruthTable::usages || table == TruthTable::subtrees; }

constexpr bool is_damage(Fault fault) {
  return fault == Fault::corrupt || fault == Fault::malformed || fault == Fault::not_authentic || fault == Fault::over_limit || fault == Fault::unsupported ||
         fault == Fault::not_found;
}

}  // namespace

// ---- rows, root, documents -----------------------------------------------------------------------------------------------
Result<void> Fsck::check_rows(TruthCheck& in) {
  for (std::size_t i = 0; i < store::truth_table_count; ++i) {
    const auto table = static_cast<TruthTable>(i);
    if (table == TruthTable::packs) continue;
    TRY(in.each_raw(table, [&](ByteView key, const std::optional<ByteView>& value) -> Result<bool> {
      if (value) return true;
      truth_differs_ = true;
      if (is_made_here(table)) packs_miscounted_ |= table != TruthTable::subtrees;
      damage_that(is_made_here(table) ? FsckState::mended : FsckState::dropped, kind_of(table), row_text(table, key));
      return true;
    }));
  }
  return {};
}

Result<void> Fsck::check_root(TruthCheck& in) {
  if (keys_ == nullptr) return {};
  const bool rows_differ = truth_differs_;
  const auto agrees = in.verify_root();
  if (agrees) return {};
  if (!is_damage(agrees.error().fault)) return std::unexpected(agrees.error());
  truth_differs_ = true;
  if (!rows_differ) damage_that(FsckState::dropped, FsckKind::root, agrees.error().text);  // else said already, row by row
  return {};
}

Result<void> Fsck::check_documents(TruthCheck& in) {
  std::vector<Bytes> envelopes;
  report_.documents = 0;
  // What is in force may stand second, where numbers began anew.
  TRY(in.each_raw(TruthTable::conflicts, [&](ByteView, const std::optional<ByteView>& value) -> Result<bool> {
    if (value && policy::read_envelope(*value)) envelopes.push_back(bytes_of(*value));
    return true;
  }));
  TRY(in.each_raw(TruthTable::documents, [&](ByteView key, const std::optional<ByteView>& value) -> Result<bool> {
    ++report_.documents;
    const auto named = TruthCheck::document_of(key);
    if (!value || !named) return true;
    const auto envelope = policy::read_envelope(*value);
    if (envelope && policy::name_of(envelope->type) == named->type && envelope->name == named->name) {
      envelopes.push_back(bytes_of(*value));
      return true;
    }
    truth_differs_ = true;
    bad_documents_.push_back(*named);
    damage_that(FsckState::dropped, FsckKind::document,
                document_text(*named) + " is not that document: " + (envelope ? "another name" : envelope.error().text));
    return true;
  }));
  std::optional<Bytes> state;
  TRY(in.each_raw(TruthTable::locals, [&](ByteView key, const std::optional<ByteView>& value) -> Result<bool> {
    if (text_of(key) == Realm::state_name && value) state = bytes_of(*value);
    return true;
  }));
  if (!state && envelopes.empty()) return {};
  auto trust = state ? policy::Trust::restore(*state, envelopes, self_) : Result<policy::Trust>(fail(Fault::corrupt, "the state of the policy is gone"));
  if (!trust) {
    truth_differs_ = documents_differ_ = true;
    damage_that(FsckState::dropped, FsckKind::document, "what was in force of the policy is not here whole: " + trust.error().text);
    return {};
  }
  const policy::DocumentSet* set = trust->current();
  if (set == nullptr) return {};
  has_policy_ = true;
  const auto learn = [&](const policy::Mesh& mesh) {
    for (const policy::MeshNode& node : mesh.nodes) {
      std::vector<crypto::VerifyKey>& keys = node_keys_[node.keys.id];
      if (std::ranges::find(keys, node.keys.sign) == keys.end()) keys.push_back(node.keys.sign);
    }
  };
  learn(set->mesh);
  policy::Past past;
  past.anchor(*set);
  for (bool grown = true; grown;) {  // a snapshot is believed once its successor is
    grown = false;
    for (const Bytes& envelope : envelopes) {
      if (const auto taken = past.offer(envelope); taken && taken->outcome != policy::Outcome::known) grown = true;
    }
  }
  for (std::uint64_t version = 1; version <= set->version.value; ++version) {
    if (const auto old = past.at({version}); old && old->mesh != nullptr) learn(*old->mesh);
  }
  return {};
}

Result<void> Fsck::mend_rows() {
  auto write = TRY(truth_->write());
  TRY(write.drop_damaged_rows());
  for (const store::DocumentKey& key : bad_documents_) TRY(write.erase_document(key));
  TRY(write.commit());
  if (documents_differ_) TRY(mend_documents());
  return {};
}

/// The policy from its pinned first root on, as far as the documents that are left carry it; what lacks is asked for by the daemon.
Result<void> Fsck::mend_documents() {
  std::multimap<store::DocumentKey, Bytes> left;
  {
    auto in = TRY(truth_->read());
    for (const store::DocumentMark& mark : TRY(in.marks())) {
      if (const auto found = TRY(in.document(mark.key))) left.emplace(mark.key, bytes_of(*found));
      for (Bytes& other : TRY(in.conflicting_documents(mark.key))) left.emplace(mark.key, std::move(other));
    }
  }
  policy::Trust trust = TRY(policy::Trust::begin(home_.realm.first_root, self_));
  for (const auto& [key, envelope] : left) {
    if (key.type == policy::name_of(policy::DocumentType::root)) [[maybe_unused]]
      const auto offered = trust.offer(envelope, options_.wall_ms);  // ascending; one that does not follow is passed over
  }
  // Freshness alone brings a policy into force, and of it only the newest: what was in force before is not to come back. Newest first; grants of
  // other nodes and suspensions are taken once there is a policy, in the second round.
  for (int round = 0; round < 2; ++round) {
    bool confirmed = false;
    for (auto it = left.rbegin(); it != left.rend(); ++it) {
      const bool freshness = it->first.type == policy::name_of(policy::DocumentType::freshness);
      if (freshness && confirmed) continue;
      confirmed = confirmed || freshness;
      [[maybe_unused]] const auto offered = trust.offer(it->second, options_.wall_ms);
    }
  }
  auto write = TRY(truth_->write());
  for (const policy::Held& held : trust.documents()) {
    TRY(write.put_document({std::string(policy::name_of(held.type)), held.name, held.version}, held.envelope));
  }
  TRY(write.put_local(Realm::state_name, trust.encode()));
  TRY(write.commit());
  auto in = TRY(TruthCheck::begin(*truth_));
  return check_documents(in);
}

// ---- entries -------------------------------------------------------------------------------------------------------------
std::optional<std::vector<store::PackListing>> Fsck::listings(TruthCheck& in, const store::Entry& entry) {
  if (const auto* named = std::get_if<std::vector<store::PackListing>>(&entry.packs)) return *named;
  const auto& object = std::get<store::PackListObject>(entry.packs);
  const auto bytes = in.pack_list(object.sha256);
  if (!bytes || !*bytes) return std::nullopt;
  auto out = store::decode_list(**bytes, object);
  return out ? std::optional(std::move(*out)) : std::nullopt;
}

Result<void> Fsck::check_entries(TruthCheck& in) {
  TRY(in.each_raw(TruthTable::entries, [&](ByteView key, const std::optional<ByteView>& value) -> Result<bool> {
    const auto place = TruthCheck::entry_of(key);
    if (!place) {
      damage(FsckKind::row, "a row in table entries with a key of none");
      return true;
    }
    ++report_.entries;
    const auto line = lines_.try_emplace(place->first, place->first.feed).first;
    take_entry(in, line->first, line->second, place->second, value);
    return true;
  }));
  TRY(in.each_raw(TruthTable::subtrees, [&](ByteView key, const std::optional<ByteView>&) -> Result<bool> {
    const auto place = TruthCheck::subtree_of(key);
    const auto line = place ? lines_.find(place->first) : lines_.end();
    if (line != lines_.end()) ++line->second.hashes;
    return true;
  }));
  std::ranges::sort(listed_, {}, &Listed::address);
  const auto again = std::ranges::unique(listed_, {}, &Listed::address);
  listed_.erase(again.begin(), again.end());
  return {};
}

void Fsck::take_entry(TruthCheck& in, const store::Branch& branch, Line& line, Sequence sequence, const std::optional<ByteView>& bytes) {
  const std::string name = "entry " + std::to_string(sequence.value);
  ++line.rows;
  const auto entry = bytes ? store::decode_entry(*bytes) : Result<store::Entry>(fail(Fault::corrupt, ""));
  const auto packs = entry ? listings(in, *entry) : std::nullopt;
  if (packs) {
    for (const store::PackListing& pack : *packs) listed_.push_back({pack.address, pack.size_bytes, pack.kind, entry->epoch, entry->feed.library});
  } else {
    listings_complete_ = false;
  }
  if (line.broken) return;
  if (!bytes) {
    line.broken = name + " is damaged";
  } else if (sequence.value != line.tail.sequence().value + 1) {
    line.broken = "entry " + std::to_string(line.tail.sequence().value + 1) + " is missing";
    listings_complete_ = false;
  } else if (!entry) {
    line.broken = name + " cannot be read (" + entry.error().text + ")";
  } else if (!packs) {
    line.broken = "the list of packs of " + name + " is missing or damaged";
  }
  if (line.broken) return;
  const auto taken = line.tail.take(*bytes, [&](const crypto::SubtreeId& id, const Digest& hash) {
    const auto stored = in.subtree(branch, id);
    if (stored && *stored && **stored == hash) return;
    line.hashes_differ = true;
    if (stored && *stored && id.level == 0 && !line.first_foreign) line.first_foreign = sequence;
  });
  if (!taken) {
    line.broken = name + ": " + taken.error().text;
    return;
  }
  if (keys_ != nullptr && entry->is(store::EntryKind::change)) committed_.push_back({entry->record, &branch, sequence});
}

// ---- heads ---------------------------------------------------------------------------------------------------------------
Result<void> Fsck::check_heads(TruthCheck& in) {
  std::uint64_t unnamed = 0;
  TRY(in.each_raw(TruthTable::heads, [&](ByteView key, const std::optional<ByteView>& value) -> Result<bool> {
    const auto branch = TruthCheck::branch_of(key);
    if (!branch || !value) return true;
    ++report_.feeds;
    Line& line = lines_.try_emplace(*branch, branch->feed).first->second;
    line.has_head = true;
    if (!node_keys_.contains(branch->feed.node)) ++unnamed;
    const auto row = in.head(*branch);
    if (!row || !*row) {
      damage(FsckKind::feed, feed_text(branch->feed) + ": its head cannot be read");
      return true;
    }
    TRY(check_head(in, *branch, **row, line));
    return true;
  }));
  if (unnamed > 0) note(FsckKind::feed, std::to_string(unnamed) + " heads are of nodes that no policy known here names: their signatures are not checked");
  for (auto& [branch, line] : lines_) {
    if (line.has_head) continue;
    const std::string rows = feed_text(branch.feed) + ": " + std::to_string(line.rows) + " entries ";
    if (aside_of(branch)) {
      note(FsckKind::feed, rows + "were set aside by a rebuild");
    } else if (branch.feed.node == self_ && keys_ != nullptr && branch.fork.is_zero()) {
      damage_that(FsckState::mended, FsckKind::feed, rows + "of this node, and no head");
      set_back_.push_back({branch, line.tail.sequence(), head_for(line.tail, std::nullopt)});
    } else {
      note(FsckKind::feed, rows + "without a head: it comes from other nodes, or they stay unread");
    }
  }
  return {};
}

std::optional<store::Head> Fsck::open_head(const FeedId& feed, const std::string& note) const {
  const auto keys = node_keys_.find(feed.node);
  if (keys == node_keys_.end()) return std::nullopt;
  for (const crypto::VerifyKey& key : keys->second) {
    if (auto head = store::verify_head(note, feed, key)) return std::move(*head);
  }
  return std::nullopt;
}

std::optional<store::HeadRow> Fsck::head_for(const store::FeedTail& tail, const std::optional<std::string>& good_note) const {
  if (tail.sequence().value == 0) return std::nullopt;
  if (tail.feed().node == self_ && keys_ != nullptr) {
    // The same log as ever, only shorter: no fork, and no later run writes to it.
    return store::HeadRow{crypto::sign_checkpoint({store::feed_origin(tail.feed()), tail.sequence().value, tail.root()}, keys_->node.sign), tail.encode(), {}};
  }
  if (!good_note) return std::nullopt;
  return store::HeadRow{*good_note, tail.encode(), {}};
}

Result<store::FeedTail> Fsck::tail_at(TruthCheck& in, const store::Branch& branch, Sequence last) {
  store::FeedTail out(branch.feed);
  if (last.value == 0) return out;
  TRY(in.each_entry(branch, {1}, [&](Sequence, ByteView bytes) -> Result<bool> {
    TRY(out.take(bytes));
    return out.sequence() < last;
  }));
  return out;
}

Result<void> Fsck::check_head(TruthCheck& in, const store::Branch& branch, const store::HeadRow& row, Line& line) {
  const std::string name = feed_text(branch.feed) + ": ";
  const auto stored = store::FeedTail::decode(row.tail);
  const bool can_verify = node_keys_.contains(branch.feed.node);
  const auto head = open_head(branch.feed, row.note);
  const bool own = branch.feed.node == self_ && keys_ != nullptr;
  const store::FeedTail& here = line.tail;
  const std::optional<std::string> good_note = head || !can_verify ? std::optional(row.note) : std::nullopt;
  const FsckState head_state = own ? FsckState::mended : FsckState::dropped;

  // Where it must end, and why it does not.
  std::optional<Sequence> end;
  if (line.broken) {
    end = here.sequence();
    damage_that(FsckState::dropped, FsckKind::feed,
                name + *line.broken + "; " + (stored ? std::to_string(stored->sequence().value - std::min(stored->sequence(), *end).value) : "all") +
                    " entries from there on cannot be read in order");
  } else if (head && head->sequence == here.sequence() && head->root == here.root()) {
    if (!stored || *stored != here) {
      damage_that(FsckState::mended, FsckKind::feed, name + "its stored end is not that of its entries");
      set_back_.push_back({branch, here.sequence(), store::HeadRow{row.note, here.encode(), row.proof}});
      return {};
    }
  } else if (!stored || stored->feed() != branch.feed) {
    end = here.sequence();
    damage_that(head_state, FsckKind::feed, name + "its stored end cannot be read");
  } else if (stored->sequence() > here.sequence()) {
    end = here.sequence();
    damage_that(FsckState::dropped, FsckKind::feed,
                name + "entries " + std::to_string(here.sequence().value + 1) + " to " + std::to_string(stored->sequence().value) + " are missing");
    listings_complete_ = false;
  } else if (stored->sequence() < here.sequence()) {
    end = stored->sequence();
    damage_that(FsckState::dropped, FsckKind::feed, name + "has entries beyond its end");
  } else if (stored->root() != here.root()) {
    end = Sequence{line.first_foreign ? line.first_foreign->value - 1 : 0};
    damage_that(FsckState::dropped, FsckKind::feed,
                name + "its entries" + (line.first_foreign ? " from " + std::to_string(line.first_foreign->value) + " on" : "") + " are not those of its end");
  }
  if (end) {
    set_back_.push_back({branch, *end, head_for(TRY(tail_at(in, branch, *end)), good_note)});
    return {};
  }
  if (stored->policy() != here.policy()) {
    damage_that(FsckState::mended, FsckKind::feed, name + "its end names another policy version than its entries");
    set_back_.push_back({branch, here.sequence(), store::HeadRow{row.note, here.encode(), row.proof}});
    return {};
  }
  if (can_verify && (!head || head->sequence < here.sequence() || (head->sequence == here.sequence() && head->root != here.root()))) {
    damage_that(head_state, FsckKind::feed, name + "its head is not its node's, or not of these entries");
    set_back_.push_back({branch, here.sequence(), head_for(here, std::nullopt)});
    return {};
  }
  std::uint64_t hashes = 0;
  for (unsigned level = 0; level < 64; ++level) hashes += here.sequence().value >> level;
  if (line.hashes_differ) {
    damage_that(FsckState::mended, FsckKind::subtree, name + "hashes of its entries are missing or wrong");
    to_hash_.push_back(branch);
  }
  if (line.hashes > hashes) {
    damage_that(FsckState::mended, FsckKind::subtree, name + "has hashes beyond its end");
    set_back_.push_back({branch, here.sequence(), row});
  }
  return {};
}

// ---- mending feeds -------------------------------------------------------------------------------------------------------
Result<void> Fsck::mend_feeds() {
  for (const SetBack& it : set_back_) {
    auto write = TRY(truth_->write());
    TRY(write.set_back(it.branch, it.last, it.head));
    TRY(write.commit());
    to_hash_.push_back(it.branch);
    // What follows goes by what is there now.
    auto in = TRY(TruthCheck::begin(*truth_));
    lines_.at(it.branch).tail = TRY(tail_at(in, it.branch, it.last));
    lines_.at(it.branch).has_head = it.head.has_value();
  }
  for (const store::Branch& branch : to_hash_) TRY(put_hashes(branch));
  std::erase_if(committed_, [&](const Committed& it) { return it.sequence > lines_.at(*it.branch).tail.sequence(); });
  return sweep_aside();
}

Result<void> Fsck::put_hashes(const store::Branch& branch) {
  const Sequence last = lines_.at(branch).tail.sequence();
  store::FeedTail tail(branch.feed);
  while (tail.sequence() < last) {
    std::vector<std::pair<crypto::SubtreeId, Digest>> hashes;
    {
      auto in = TRY(truth_->read());
      TRY(in.each_entry(branch, {tail.sequence().value + 1}, [&](Sequence, ByteView bytes) -> Result<bool> {
        TRY(tail.take(bytes, [&](const crypto::SubtreeId& id, const Digest& hash) { hashes.emplace_back(id, hash); }));
        return hashes.size() < puts_most && tail.sequence() < last;
      }));
    }
    if (hashes.empty()) break;
    auto write = TRY(truth_->write());
    for (const auto& [id, hash] : hashes) TRY(write.put_subtree(branch, id, hash));
    TRY(write.commit());
  }
  return {};
}

std::optional<store::Branch> Fsck::aside_of(const store::Branch& branch) const {
  if (branch == store::TruthWrite::set_aside(branch.feed)) return store::Branch(branch.feed);
  for (auto it = lines_.lower_bound(store::Branch(branch.feed)); it != lines_.end() && it->first.feed == branch.feed; ++it) {
    if (branch == store::TruthWrite::set_aside(it->first)) return it->first;
  }
  return std::nullopt;
}

/// Entries that were set aside and are back in their feed are here twice.
Result<void> Fsck::sweep_aside() {
  for (const auto& [branch, line] : lines_) {
    const auto from = aside_of(branch);
    if (line.has_head || !from) continue;
    std::vector<Sequence> back;
    auto write = TRY(truth_->write());
    TRY(write.each_entry(branch, {1}, [&](Sequence sequence, ByteView bytes) -> Result<bool> {
      const auto there = TRY(write.entry(*from, sequence));
      if (there && equal(*there, bytes)) back.push_back(sequence);
      return back.size() < puts_most;
    }));
    for (const Sequence sequence : back) TRY(write.erase_entry(branch, sequence));
    TRY(write.commit());
  }
  return {};
}

}  // namespace dozo::node

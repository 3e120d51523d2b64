#include "node/library.h"

#include <algorithm>

#include "node/library_body.h"

// What is known and what is held: entries are durable as soon as they are checked; a feed is *held* up to the last entry before the first that lists a
// pack which is missing here. Records are judged when the meta packs of their entry are here, wherever the held head stands.
//
// The folder is a function of the set of accepted records. When one leaves that set (a cut), the documents that it names are made anew from those that
// stay. History is brought up to date when somebody asks for it, because a late record changes every commit after its place.
namespace dozo::node {

const policy::MeshLibrary* Library::Body::mesh() const {
  const auto policy = context_.realm.policy();
  return policy ? policy->library(id_) : nullptr;  // the realm keeps the newest policy alive until the next one is offered
}

store::NameRule Library::Body::rule() const {
  const policy::MeshLibrary* library = mesh();
  return library != nullptr && library->names == policy::NameRules::linux ? store::NameRule::bytes : store::NameRule::portable;
}

bool Library::Body::has_keys() const {
  const auto policy = context_.realm.policy();
  const policy::MeshLibrary* library = mesh();
  return policy && library != nullptr && policy->has_keys(context_.node.id, id_) && context_.realm.keys().find(id_, library->epoch) != nullptr;
}

// ---- what keys allow -----------------------------------------------------------------------------------------------------
void Library::Body::derive(bool judge_all) {
  Result<void> done = derive_now(judge_all);
  behind_ = done ? std::nullopt : std::optional(std::move(done.error()));
}

Result<void> Library::Body::derive_now(bool judge_all) {
  if (!has_keys()) {
    folder_.reset();
    return {};
  }
  if (!folder_ || folder_->rule() != rule()) {
    folder_.emplace(rule());
    history_folder_.reset();
    history_dirty_ = store::Stamp{};
    accepted_.clear();
    for (auto& [id, known] : records_) known.refusal = store::Refusal::policy_not_known;  // so that each is taken in anew
    judge_all = true;
  }
  // Records need neither, and are judged whatever became of these.
  Result<void> noted = note_suspended();
  const std::vector<PackAddress> addresses(unindexed_.begin(), unindexed_.end());
  Result<void> indexed = index_packs(addresses);
  std::set<RecordId> which = open_records();
  if (judge_all) {
    for (const auto& [id, known] : records_) which.insert(id);
  }
  judge(which);
  return noted ? indexed : noted;
}

namespace {
/// Nothing needs to be written for it to count one day.
bool waits(store::Refusal refusal) { return refusal == store::Refusal::ahead_of_clock || refusal == store::Refusal::suspended; }

std::string suspended_name(const LibraryId& library, const NodeId& node) { return "suspended/" + library.hex() + "/" + node.hex(); }
}  // namespace

/// What was noted in the truth of suspensions that were in force when the last run ended.
Result<void> Library::Body::load_suspended() {
  constexpr std::size_t row_bytes = IncarnationId::size + Digest::size + 8;
  std::set<NodeId> nodes;
  for (const auto& [branch, feed] : feeds_) nodes.insert(branch.feed.node);
  auto in = TRY(context_.truth.read());
  for (const NodeId& node : nodes) {
    const auto found = TRY(in.local(suspended_name(id_, node)));
    if (!found) continue;
    std::map<store::Branch, Sequence>& marks = suspended_[node];
    for (ByteView rest = *found; rest.size() >= row_bytes; rest = rest.subspan(row_bytes)) {
      const store::Branch branch({id_, node, *IncarnationId::from(rest.first(IncarnationId::size))},
                                 *Digest::from(rest.subspan(IncarnationId::size, Digest::size)));
      marks[branch] = {get_u64(rest.data() + IncarnationId::size + Digest::size)};
    }
  }
  return {};
}

/// Suspensions that began or ended since. How far the node's lines are known by then is kept in the truth: after a restart only its own word would be left.
Result<void> Library::Body::note_suspended() {
  if (!context_.realm.trusted_now_ms()) return {};  // without a clock no suspension begins or ends
  const std::map<NodeId, std::int64_t> now = context_.realm.suspended_now_ms();
  std::map<NodeId, std::map<store::Branch, Sequence>> next;
  for (const auto& [node, from_ms] : now) {
    if (node == context_.node.id) continue;  // it sees its own work; with the others it waits
    const auto marked = suspended_.find(node);
    std::map<store::Branch, Sequence>& marks = next[node];
    if (marked != suspended_.end()) {
      marks = marked->second;
      continue;
    }
    for (auto at = feeds_.lower_bound(store::Branch(FeedId{id_, node, {}})); at != feeds_.end() && at->first.feed.node == node; ++at) {
      marks.emplace(at->first, at->second.tail.sequence());
    }
  }
  for (const auto& [node, marks] : next) {
    if (!suspended_.contains(node)) suspended_unsaved_.insert(node);
  }
  for (const auto& [node, marks] : suspended_) {
    if (!next.contains(node)) suspended_unsaved_.insert(node);
  }
  suspended_ = std::move(next);
  if (suspended_unsaved_.empty()) return {};
  auto write = TRY(context_.truth.write());
  for (const NodeId& node : suspended_unsaved_) {
    const auto marked = suspended_.find(node);
    if (marked == suspended_.end()) {
      TRY(write.erase_local(suspended_name(id_, node)));
      continue;
    }
    Bytes marks;
    for (const auto& [branch, sequence] : marked->second) {
      append(marks, branch.feed.incarnation.view());
      append(marks, branch.fork.view());
      marks.resize(marks.size() + 8);
      put_u64(marks.data() + marks.size() - 8, sequence.value);
    }
    TRY(write.put_local(suspended_name(id_, node), marks));
  }
  TRY(write.commit());
  suspended_unsaved_.clear();
  return {};
}

Result<void> Library::Body::index_packs(std::span<const PackAddress> addresses) {
  constexpr std::size_t packs_most = 64;  // whose places are held at a time
  std::vector<DerivedIndex::Pack> batch;
  const auto flush = [&]() -> Result<void> {
    TRY(index_.put(batch));
    for (const DerivedIndex::Pack& pack : batch) unindexed_.erase(pack.address);
    batch.clear();
    return {};
  };
  for (const PackAddress& address : addresses) {
    if (unsound_.contains(address)) continue;
    if (TRY(index_.has(address))) {
      unindexed_.erase(address);
      continue;
    }
    Result<store::OpenPack> opened = pieces_.open(address);
    if (!opened && opened.error().fault == Fault::denied) continue;   // its key may come
    if (!opened && opened.error().fault == Fault::corrupt) continue;  // to be healed
    // A pack that does not open, or holds what it does not say, was made so by a node with keys: it gives no pieces, and no receipt says that it was opened.
    if (!opened || !opened->verify_all()) {
      unsound_.insert(address);
      continue;
    }
    batch.push_back({address, opened->places()});
    if (batch.size() == packs_most) TRY(flush());
  }
  return flush();
}

/// The record that the entry commits to, if it is in one of its meta packs.
Result<std::optional<store::SignedRecord>> Library::Body::find_record(const Unopened& entry) const {
  for (const PackAddress& address : entry.meta) {
    const auto opened = pieces_.open(address);
    if (!opened) {
      const Fault fault = opened.error().fault;
      // A key or the pack may come, or be healed. Whatever else is wrong with it, its writer made it so, and it stops nothing but itself.
      if (fault == Fault::denied || fault == Fault::unavailable || fault == Fault::corrupt) return std::unexpected(opened.error());
      continue;
    }
    for (const store::PiecePlace& place : opened->places()) {
      if (place.type != store::PieceType::record) continue;
      const auto bytes = opened->piece(place.id, place.type);
      if (!bytes) continue;
      auto found = store::decode_signed_record(*bytes);
      if (found && store::commitment(*found) == entry.commitment) return std::move(*found);
    }
  }
  return std::nullopt;
}

std::set<RecordId> Library::Body::open_records() {
  std::set<RecordId> out;
  std::vector<std::pair<store::Branch, std::uint64_t>> opened;
  for (const auto& [place, entry] : unopened_) {
    const auto feed = feeds_.find(place.first);
    const auto lacking = feed->second.lacking.find(place.second);
    if (lacking != feed->second.lacking.end() && std::ranges::any_of(entry.meta, [&](const PackAddress& it) { return lacking->second.contains(it); })) continue;
    auto found = find_record(entry);
    if (!found) continue;  // what it needs may come
    const auto id = *found ? know_record(**found, entry.carrier) : std::nullopt;
    if (id) {
      out.insert(*id);
    } else {
      refused_at_.insert(place);
    }
    opened.push_back(place);  // without a record: a lie of its writer, and nothing will change it
  }
  for (const auto& place : opened) unopened_.erase(place);
  return out;
}

std::optional<RecordId> Library::Body::know_record(const store::SignedRecord& signed_record, const Carrier& carrier) {
  const auto record = store::decode_record(signed_record.record);
  if (!record || record->library != id_) return std::nullopt;
  const RecordId id = store::record_id(signed_record.record);
  Known& known = records_.try_emplace(id, Known{*record, signed_record, {}, store::Refusal::policy_not_known}).first->second;
  Carrier& carried = known.carriers.emplace_back(carrier);
  carried.authentic = rights_.knows(carrier.policy) && verify_record(context_.realm, carrier.policy, signed_record, *record).has_value();
  return id;
}

std::optional<store::Refusal> Library::Body::refusal_of(const RecordId& id, const Known& known, const Carrier& carrier, CutsByLine& cuts,
                                                        std::optional<std::int64_t> trusted_ms) const {
  auto line = cuts.find(carrier.branch);
  if (line == cuts.end()) line = cuts.emplace(carrier.branch, this->cuts(carrier.branch)).first;
  store::EntryFacts facts{carrier.branch.feed, carrier.sequence, carrier.policy, carrier.highest_before, &known.record, id, true, std::nullopt};
  if (const auto policy = context_.realm.policy_at(carrier.policy)) {
    facts.time = {carrier.time_ms, carrier.latest_before_ms, policy->mesh().header.issued_s * 1000};
  }
  // The clock only holds back: when a record's time has come at all nodes they agree.
  std::optional<store::Refusal> refusal = store::judge(facts, rights_, line->second.cuts, line->second.admits, trusted_ms);
  if (const auto marks = suspended_.find(carrier.branch.feed.node); !refusal && marks != suspended_.end()) {
    const auto known_then = marks->second.find(carrier.branch);
    if (known_then == marks->second.end() || carrier.sequence > known_then->second) refusal = store::Refusal::suspended;
  }
  if ((!refusal || waits(*refusal)) && !carrier.authentic) refusal = store::Refusal::no_right;
  return refusal;
}

void Library::Body::take(const RecordId& id, const Known& known) {
  const store::Stamp stamp{known.record.hlc, id};
  accepted_.emplace(stamp, id);
  if (!history_dirty_ || stamp < *history_dirty_) history_dirty_ = stamp;
}

void Library::Body::judge(const std::set<RecordId>& which) {
  const std::optional<std::int64_t> trusted_ms = context_.realm.trusted_now_ms();
  CutsByLine in_force;
  std::vector<store::Version> come;
  std::set<DocumentId> left;
  for (const RecordId& id : which) {
    Known& known = records_.at(id);
    std::optional<store::Refusal> refusal;
    bool counts = false;
    for (Carrier& carrier : known.carriers) {
      if (!carrier.authentic && rights_.knows(carrier.policy)) {
        carrier.authentic = verify_record(context_.realm, carrier.policy, known.signed_record, known.record).has_value();
      }
      carrier.refusal = refusal_of(id, known, carrier, in_force, trusted_ms);
      const std::pair place(carrier.branch, carrier.sequence.value);
      if (carrier.refusal && store::is_final(*carrier.refusal)) {
        refused_at_.insert(place);
      } else {
        refused_at_.erase(place);
      }
      counts = counts || !carrier.refusal;
      if (carrier.refusal && (!refusal || waits(*carrier.refusal))) refusal = carrier.refusal;  // what will change by itself before what may not
    }
    if (counts) refusal.reset();
    const bool was = !known.refusal, is = !refusal;
    known.refusal = refusal;
    const std::pair due(store::time_ms(known.record.hlc) - store::lead_ms_most, id);
    if (refusal == store::Refusal::ahead_of_clock) {
      ahead_.insert(due);
    } else {
      ahead_.erase(due);
    }
    if (is && !was) {
      take(id, known);
      for (store::Version& version : store::versions_of(known.record, id)) come.push_back(std::move(version));
    } else if (was && !is) {
      const store::Stamp stamp{known.record.hlc, id};
      accepted_.erase(stamp);
      if (!history_dirty_ || stamp < *history_dirty_) history_dirty_ = stamp;
      for (const store::Op& op : known.record.ops) left.insert(op.document);
    }
  }
  folder_->apply(come);
  for (const DocumentId& document : left) {
    std::vector<store::Version> stay;
    for (const auto& [stamp, id] : accepted_) {
      for (store::Version& version : store::versions_of(records_.at(id).record, id)) {
        if (version.op.document == document) stay.push_back(std::move(version));
      }
    }
    folder_->reset(document, stay);
  }
}

// ---- sync ----------------------------------------------------------------------------------------------------------------
Library::Library(std::unique_ptr<Body> body) : body_(std::move(body)) {}
Library::~Library() = default;

Result<std::unique_ptr<Library>> Library::open(const LibraryContext& context, const LibraryId& id) {
  auto body = std::make_unique<Body>(context, id);
  TRY(body->load());
  TRY(body->load_suspended());
  body->derive(true);
  return std::unique_ptr<Library>(new Library(std::move(body)));
}

const LibraryId& Library::id() const { return body_->id_; }

void Library::judge_again() { body_->derive(true); }
const std::optional<Error>& Library::behind() const { return body_->behind_; }
void Library::catch_up() { body_->derive(false); }

std::optional<std::int64_t> Library::due_ms() const {
  return body_->folder_ && !body_->ahead_.empty() ? std::optional(body_->ahead_.begin()->first) : std::nullopt;
}

void Library::judge_due() {
  const auto now_ms = body_->context_.realm.trusted_now_ms();
  if (!now_ms || !body_->folder_) return;
  std::set<RecordId> which;
  for (const auto& [at_ms, id] : body_->ahead_) {
    if (at_ms > *now_ms) break;
    which.insert(id);
  }
  body_->judge(which);
}

// ---- reading -------------------------------------------------------------------------------------------------------------
bool Library::has_keys() const { return body_->folder_.has_value(); }
const store::Folder* Library::folder() const { return body_->folder_ ? &*body_->folder_ : nullptr; }
const store::PieceIndex& Library::index() const { return body_->index_; }
store::PieceSource& Library::pieces() { return body_->pieces_; }

std::optional<Epoch> Library::epoch() const {
  const policy::MeshLibrary* library = body_->mesh();
  return library != nullptr ? std::optional(library->epoch) : std::nullopt;
}

const crypto::EpochKey* Library::epoch_key() const {
  const auto current = epoch();
  return current ? body_->context_.realm.keys().find(body_->id_, *current) : nullptr;
}

Result<store::Manifest> Library::manifest(const PieceId& id) { return store::decode_manifest(TRY(body_->pieces_.piece(id, store::PieceType::manifest))); }

Library::Counts Library::counts() const {
  Counts out{0, body_->entry_count_, body_->missing_.size(), 0, 0};
  for (const auto& [id, known] : body_->records_) out.refused += known.refusal ? 1 : 0;
  if (!body_->folder_) return out;
  out.conflicts = body_->folder_->conflicts().size();
  std::set<DocumentId> documents;
  body_->folder_->walk("", [&](const std::string&, const store::Shown& shown) {
    documents.insert(shown.document);
    return true;
  });
  out.documents = documents.size();
  return out;
}

std::map<RecordId, store::Refusal> Library::refused() const {
  std::map<RecordId, store::Refusal> out;
  for (const auto& [id, known] : body_->records_) {
    if (known.refusal) out.emplace(id, *known.refusal);
  }
  return out;
}

const store::Record* Library::record(const RecordId& id) const {
  const auto known = body_->records_.find(id);
  return known == body_->records_.end() ? nullptr : &known->second.record;
}

Result<store::History*> Library::history() {
  Body& it = *body_;
  if (!it.folder_) return fail(Fault::denied, "this node has no keys for the library");
  if (!it.history_) {
    it.history_.emplace(TRY(store::History::open(it.context_.derived, it.context_.local, it.id_)));
    it.history_dirty_ = store::Stamp{};  // what it was derived from is not known: compared below
  }
  if (!it.history_dirty_) return &*it.history_;
  store::History& history = *it.history_;
  // The first commits that still stand for the first records.
  std::uint64_t stands = it.history_folder_ ? TRY(history.count_below(it.history_dirty_->hlc, it.history_dirty_->record)) : 0;
  auto next = it.accepted_.begin();
  std::advance(next, static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(stands, it.accepted_.size())));
  for (; next != it.accepted_.end() && stands < history.size() && TRY(history.record_at(stands + 1)) == next->second; ++next) ++stands;
  if (stands < history.size()) {
    it.history_folder_.reset();
    TRY(history.rewind_to(stands));
  }
  const auto versions = [&](const RecordId& id) { return store::versions_of(it.records_.at(id).record, id); };
  if (!it.history_folder_) {
    it.history_folder_.emplace(it.rule());
    for (auto done = it.accepted_.begin(); done != next; ++done) it.history_folder_->apply(versions(done->second));
  }
  constexpr std::size_t steps_most = 64;
  std::vector<store::HistoryStep> steps;
  for (; next != it.accepted_.end(); ++next) {
    const store::Record& record = it.records_.at(next->second).record;
    store::HistoryStep& step = steps.emplace_back(store::HistoryStep{next->second, record.hlc, record.who, record.text, {}});
    for (const store::Change& change : it.history_folder_->apply(versions(next->second))) {
      store::TreeChange made{change.path, std::nullopt};
      if (change.now) {
        const store::ContentValue& value = change.now->value;
        const store::Source source = change.now->source.value_or(store::Source{});
        made.now = store::TreeFile{value.kind, value.executable, value.sha256, source.manifest, source.size_bytes, change.now->document};
      }
      step.changes.push_back(std::move(made));
    }
    if (steps.size() == steps_most || std::next(next) == it.accepted_.end()) {
      if (Result<void> done = history.extend(steps); !done) {
        it.history_folder_.reset();
        it.history_dirty_ = store::Stamp{};
        return std::unexpected(std::move(done.error()));
      }
      steps.clear();
    }
  }
  it.history_dirty_.reset();
  return &history;
}

}  // namespace dozo::node

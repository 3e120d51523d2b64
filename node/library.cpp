#include "node/library.h"

#include <algorithm>

#include "node/library_body.h"

// What is known and what is held: entries are durable as soon as they are checked; a feed is *held* up to the last entry before the first that lists a
// pack which is missing here. Records are judged when the meta packs of their entry are here, wherever the held head stands.
//
// The folder is a function of the set of accepted records. When one leaves that set (a cut), the documents that it names are made anew from those that
// stay. History is brought up to date when somebody asks for it, because a late record changes every commit after its place.
namespace dozo::node {

using store::Entry;
using store::PackListing;

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

/// Whether this line's log begins with that one.
Result<bool> Library::Body::on_line(const store::Branch& branch, const Feed& feed, Sequence sequence, const Digest& root) const {
  if (sequence > feed.tail.sequence()) return false;
  if (sequence == feed.tail.sequence()) return feed.tail.root() == root;
  if (sequence.value == 0) return root == crypto::empty_root();
  auto in = TRY(context_.truth.read());
  return TRY(crypto::root_at(sequence.value, in.subtrees(branch))) == root;
}

bool Library::Body::is_forked(const FeedId& id) const {
  const auto all = lines(id);
  return all.begin() != all.end() && std::next(all.begin()) != all.end();
}

/// A cut ends the line whose log has its root. Of another line of that feed nothing counts but what both begin with, and the first one carries that.
Cuts Library::Body::cuts(const store::Branch& branch) const {
  const policy::MeshLibrary* library = mesh();
  if (library == nullptr || library->cuts.empty()) return {};
  return cuts_of(*library, [&](const FeedId& id, Sequence sequence, const Digest& root) {
    if (id != branch.feed) return true;
    const Feed& line = feeds_.at(branch);
    if (line.tail.sequence() >= sequence) return on_line(branch, line, sequence, root).value_or(false);
    for (const auto& [other, feed] : lines(id)) {
      if (other == branch || !on_line(other, feed, sequence, root).value_or(false)) continue;
      return on_line(other, feed, line.tail.sequence(), line.tail.root()).value_or(false);
    }
    return true;  // it may still grow into it
  });
}

// ---- batches of entries ---------------------------------------------------------------------------------------------------
/// Of a node that has left since, an older policy must be known: the entries say which.
Result<crypto::VerifyKey> Library::Body::writer_key(const FeedId& id, std::span<const Bytes> entries) const {
  if (const auto key = context_.realm.key_of(id.node)) return *key;
  for (const Bytes& bytes : entries) {
    const Entry entry = TRY(store::decode_entry(bytes));
    if (context_.realm.policy_at(entry.policy)) continue;
    context_.realm.need(entry.policy);
    return fail(Fault::not_found, "entries of a node that a policy named which is not known here yet");
  }
  return fail(Fault::denied, "entries of a node that no policy named");
}

// ---- feeds ---------------------------------------------------------------------------------------------------------------
Result<void> Library::Body::load() {
  std::vector<std::pair<store::Branch, store::HeadRow>> heads;
  auto in = TRY(context_.truth.read());
  TRY(in.each_head(id_, [&](const store::Branch& branch, const store::HeadRow& row) -> Result<bool> {
    heads.emplace_back(branch, row);
    return true;
  }));
  for (const auto& [branch, row] : heads) {
    std::vector<Entry> entries;
    TRY(in.each_entry(branch, {1}, [&](Sequence, ByteView bytes) -> Result<bool> {
      entries.push_back(TRY(store::decode_entry(bytes)));
      return true;
    }));
    Feed& feed = feeds_.emplace(branch, Feed{TRY(store::FeedTail::decode(row.tail)), row.note, row.proof, {}, {}, {}}).first->second;
    if (entries.size() != feed.tail.sequence().value) return fail(Fault::corrupt, "a feed of another length than its head says: run dozo fsck");
    for (Entry& entry : entries) know_entry(branch, feed, TRY(read_fresh(std::move(entry), in)));
    settle(feed);
  }
  return {};
}

Result<std::vector<PackListing>> Library::Body::listings(const Entry& entry, store::TruthRead& in) const {
  if (const auto* listed = std::get_if<std::vector<PackListing>>(&entry.packs)) return *listed;
  const auto& object = std::get<store::PackListObject>(entry.packs);
  const auto bytes = TRY(in.pack_list(object.sha256));
  if (!bytes) return fail(Fault::not_found, "a list of packs that is not here");
  return store::decode_list(*bytes, object);
}

Result<Library::Body::Fresh> Library::Body::read_fresh(Entry entry, store::TruthRead& in) const {
  Fresh out{{}, TRY(listings(entry, in)), {}};
  for (const PackListing& pack : out.packs) out.here.push_back(TRY(in.has_pack(pack.address)));
  out.entry = std::move(entry);
  return out;
}

/// Notes which of its packs are missing here, and that its record is to be read.
void Library::Body::know_entry(const store::Branch& branch, Feed& feed, Fresh fresh) {
  const Entry& entry = fresh.entry;
  ++entry_count_;
  context_.realm.need(entry.policy);
  Unopened unopened{{branch, entry.sequence, entry.policy, feed.highest, false, entry.time_ms, feed.latest_ms, {}}, entry.record, {}};
  if (feed.listed_bytes.empty()) feed.first_ms = entry.time_ms;
  feed.listed_bytes.push_back(feed.listed_bytes.empty() ? 0 : feed.listed_bytes.back());
  feed.highest = std::max(feed.highest, entry.policy);
  feed.latest_ms = std::max(feed.latest_ms, entry.time_ms);
  feed.policies.insert(entry.policy);
  for (std::size_t i = 0; i < fresh.packs.size(); ++i) {
    const PackListing& pack = fresh.packs[i];
    feed.listed_bytes.back() += pack.size_bytes;
    if (pack.kind == crypto::PackKind::meta) unopened.meta.push_back(pack.address);
    if (fresh.here[i]) {
      unindexed_.insert(pack.address);
      continue;
    }
    feed.lacking[entry.sequence.value].insert(pack.address);
    Wanted& wanted = missing_[pack.address];
    wanted.by.emplace(branch, entry.sequence.value);
    if (wanted.claims.insert({pack.size_bytes, pack.kind, entry.epoch}).second) wanted.not_before_ms = wanted.step_ms = 0;
  }
  if (entry.is(store::EntryKind::change)) unopened_.emplace(std::pair(branch, entry.sequence.value), std::move(unopened));
}

/// Of packs that a node's entries list: what its quota is for. Of a feed with several lines the longest counts: they begin alike.
std::uint64_t Library::Body::listed_bytes(const NodeId& node) const {
  std::map<FeedId, std::uint64_t> by_feed;
  for (auto at = feeds_.lower_bound(store::Branch(FeedId{id_, node, {}})); at != feeds_.end() && at->first.feed.node == node; ++at) {
    std::uint64_t& bytes = by_feed[at->first.feed];
    if (!at->second.listed_bytes.empty()) bytes = std::max(bytes, at->second.listed_bytes.back());
  }
  std::uint64_t out = 0;
  for (const auto& [feed, bytes] : by_feed) out += bytes;
  return out;
}

/// The most that a policy allowed which the node's entries name: an honest one stays below (commit), also when its quota was made smaller since. Nothing: no
/// limit.
std::optional<std::uint64_t> Library::Body::quota(const NodeId& node) const {
  std::uint64_t most = 0;
  for (auto at = feeds_.lower_bound(store::Branch(FeedId{id_, node, {}})); at != feeds_.end() && at->first.feed.node == node; ++at) {
    for (const PolicyVersion& version : at->second.policies) {
      const auto policy = context_.realm.policy_at(version);
      const std::uint64_t bytes = policy ? policy->quota_bytes(node, id_) : 0;
      if (bytes == 0) return std::nullopt;
      most = std::max(most, bytes);
    }
  }
  return most;
}

/// Up to where a cut of its node lets the line count.
Sequence Library::Body::uncut(const store::Branch& branch, const Feed& feed) const {
  Sequence end = feed.tail.sequence();
  const Cuts in_force = cuts(branch);
  for (const store::Cut& cut : in_force.cuts) {
    // Entries of a feed never name an older policy than one before them, or do not count: so all beyond the end are cut, or the node goes on.
    if (cut.subject != store::CutSubject(branch.feed.node) || feed.highest >= cut.since) continue;
    end = std::min(end, store::end_of(cut, branch.feed, in_force.admits));
  }
  return end;
}

/// Up to which entry of each line packs are fetched: not beyond a cut of its node, and what is listed within its quota, the oldest feeds first. A function of
/// what is known, in whatever order it came. `beyond`: the nodes that list more than that.
std::map<store::Branch, Sequence> Library::Body::fetched_to(std::set<NodeId>* beyond) const {
  std::map<store::Branch, Sequence> out;
  for (auto at = feeds_.begin(); at != feeds_.end();) {
    const NodeId node = at->first.feed.node;
    const std::optional<std::uint64_t> most = quota(node);
    std::vector<std::tuple<std::int64_t, FeedId, store::Branch>> lines;
    for (; at != feeds_.end() && at->first.feed.node == node; ++at) lines.emplace_back(at->second.first_ms, at->first.feed, at->first);
    if (most) std::ranges::sort(lines);
    std::uint64_t before = 0, of_feed = 0;  // of the feeds before this one; of the longest line of this one
    FeedId last;
    for (const auto& [first_ms, id, branch] : lines) {
      const Feed& feed = feeds_.at(branch);
      Sequence end = uncut(branch, feed);
      if (id != last) before += std::exchange(of_feed, 0), last = id;
      if (most) {
        const auto fits = std::ranges::upper_bound(feed.listed_bytes, *most - std::min(*most, before));
        const Sequence within{static_cast<std::uint64_t>(fits - feed.listed_bytes.begin())};
        if (before > *most || within < end) {
          if (beyond != nullptr) beyond->insert(node);
          end = before > *most ? Sequence{0} : within;
        }
        if (end.value > 0) of_feed = std::max(of_feed, feed.listed_bytes[end.value - 1]);
      }
      out.emplace(branch, end);
    }
  }
  return out;
}

void Library::Body::settle(Feed& feed) { feed.held = feed.lacking.empty() ? feed.tail.sequence() : Sequence{feed.lacking.begin()->first - 1}; }

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
  std::vector<NodeId> begun, ended;
  for (const auto& [node, marks] : next) {
    if (!suspended_.contains(node)) begun.push_back(node);
  }
  for (const auto& [node, marks] : suspended_) {
    if (!next.contains(node)) ended.push_back(node);
  }
  suspended_ = std::move(next);
  if (begun.empty() && ended.empty()) return {};
  auto write = TRY(context_.truth.write());
  for (const NodeId& node : ended) TRY(write.erase_local(suspended_name(id_, node)));
  for (const NodeId& node : begun) {
    Bytes marks;
    for (const auto& [branch, sequence] : suspended_.at(node)) {
      append(marks, branch.feed.incarnation.view());
      append(marks, branch.fork.view());
      marks.resize(marks.size() + 8);
      put_u64(marks.data() + marks.size() - 8, sequence.value);
    }
    TRY(write.put_local(suspended_name(id_, node), marks));
  }
  return write.commit();
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

std::vector<Library::FeedState> Library::feeds() const {
  std::vector<FeedState> out;
  for (const auto& [branch, feed] : body_->feeds_) out.push_back({branch.feed, feed.tail.sequence(), feed.held, feed.tail.root()});
  return out;
}

std::vector<Sequence> Library::counted() const {
  std::vector<Sequence> out;
  for (const auto& [branch, feed] : body_->feeds_) {
    Sequence end = body_->uncut(branch, feed);
    while (end.value > 0 && body_->refused_at_.contains({branch, end.value})) --end.value;
    out.push_back(end);
  }
  return out;
}

Result<Library::Point> Library::first_line(const FeedId& id) const {
  const auto feed = body_->feeds_.find(store::Branch(id));
  if (feed == body_->feeds_.end()) return fail(Fault::not_found, "a feed that is not held");
  return Point{id, feed->second.tail.sequence(), feed->second.tail.root()};
}

std::size_t Library::forked_count() const {
  std::set<FeedId> out;
  for (const auto& [branch, feed] : body_->feeds_) {
    if (!branch.fork.is_zero()) out.insert(branch.feed);
  }
  return out.size();
}

Result<std::vector<Library::Point>> Library::heads_of(const store::CutSubject& subject) const {
  const auto* node = std::get_if<NodeId>(&subject);
  const auto* person = std::get_if<PersonId>(&subject);
  std::map<FeedId, Sequence> ends;
  if (!body_->has_keys()) {
    for (const auto& [branch, feed] : body_->feeds_) {
      if (branch.fork.is_zero() && (node == nullptr || branch.feed.node == *node)) ends[branch.feed] = feed.tail.sequence();
    }
  }
  for (const auto& [id, known] : body_->records_) {
    if (!body_->folder_ || known.refusal) continue;
    for (const Body::Carrier& carrier : known.carriers) {
      const bool is_its = node != nullptr ? carrier.branch.feed.node == *node || known.record.device == *node : known.record.person == *person;
      if (!is_its || carrier.refusal || !carrier.branch.fork.is_zero()) continue;
      Sequence& end = ends[carrier.branch.feed];
      end = std::max(end, carrier.sequence);
    }
  }
  std::vector<Point> out;
  for (const auto& [feed, end] : ends) out.push_back({feed, end, TRY(root_at(TRY(first_line(feed)), end))});
  return out;
}

Result<Digest> Library::root_at(const Point& point, Sequence size) const {
  if (size.value == 0) return crypto::empty_root();
  for (const auto& [branch, feed] : body_->lines(point.feed)) {
    if (size > feed.tail.sequence() || !TRY(body_->on_line(branch, feed, point.sequence, point.root))) continue;
    if (size == feed.tail.sequence()) return feed.tail.root();
    auto in = TRY(body_->context_.truth.read());
    return crypto::root_at(size.value, in.subtrees(branch));
  }
  return fail(Fault::not_found, "a feed that is not held so far");
}

Result<Sequence> Library::next(const Point& point) const {
  std::size_t count = 0;
  for (const auto& [branch, feed] : body_->lines(point.feed)) {
    ++count;
    if (TRY(body_->on_line(branch, feed, point.sequence, point.root))) return Sequence{0};
  }
  if (count == 0) return Sequence{1};
  for (const auto& [branch, feed] : body_->lines(point.feed)) {
    if (feed.tail.sequence() < point.sequence && !body_->not_from_.contains({branch, point.root})) return Sequence{feed.tail.sequence().value + 1};
  }
  const auto walked = body_->walked_.find({point.feed, point.root});
  if (walked == body_->walked_.end()) return Sequence{count < lines_most ? 1U : 0U};
  return Sequence{walked->second.value >= point.sequence.value ? 0 : walked->second.value + 1};
}

Result<Library::Batch> Library::entries(const Point& point, Sequence from, std::size_t bytes_most) const {
  constexpr std::size_t entries_most = 1000, unfinished_bytes_most = 900U << 10;
  for (const auto& [branch, feed] : body_->lines(point.feed)) {
    if (from.value == 0 || from > feed.tail.sequence() || !TRY(body_->on_line(branch, feed, point.sequence, point.root))) continue;
    // Of a line whose head covers more than is here, only the whole of it can be proved: by what its last batch came with.
    if (!feed.proof.empty()) bytes_most = unfinished_bytes_most;
    Batch out{{}, feed.note, {}};
    auto in = TRY(body_->context_.truth.read());
    std::size_t bytes = 0;
    TRY(in.each_entry(branch, from, [&](Sequence, ByteView entry) -> Result<bool> {
      bytes += entry.size();
      if (!out.entries.empty() && bytes > bytes_most) return false;
      out.entries.push_back(bytes_of(entry));
      return out.entries.size() < entries_most;
    }));
    if (out.entries.empty()) return fail(Fault::corrupt, "entries of a feed are gone: run dozo fsck");
    const std::uint64_t end = from.value - 1 + out.entries.size();
    if (!feed.proof.empty()) {
      if (end != feed.tail.sequence().value) return fail(Fault::not_found, "a feed of which this node has too much to show without its end");
      out.proof = feed.proof;
      return out;
    }
    out.proof = TRY(crypto::consistency_proof(end, feed.tail.sequence().value, in.subtrees(branch)));
    return out;
  }
  return fail(Fault::not_found, "a feed that is not held so far");
}

Result<void> Library::keep_pack_list(const Digest& sha256, ByteView bytes) {
  if (crypto::sha256(bytes) != sha256) return fail(Fault::not_authentic, "a list of packs with another hash");
  auto write = TRY(body_->context_.truth.write());
  TRY(write.put_pack_list(sha256, bytes));
  return write.commit();
}

Result<Library::Lists> Library::accept_entries(const Point& point, Sequence from, const Batch& batch) {
  constexpr std::size_t memos_most = 4096;
  Body& it = *body_;
  const FeedId& id = point.feed;
  if (id.library != it.id_) return fail(Fault::malformed, "entries of another library");
  if (from.value == 0 || batch.entries.empty()) return fail(Fault::malformed, "entries without a place");
  const std::uint64_t end = from.value - 1 + batch.entries.size();
  const crypto::VerifyKey key = TRY(it.writer_key(id, batch.entries));
  if (it.lines(id).empty()) return it.put_batch(store::Branch(id), store::FeedTail(id), from, batch, key);
  std::optional<Error> why;
  for (const auto& [branch, feed] : it.lines(id)) {
    const std::uint64_t known = feed.tail.sequence().value;
    if (end <= known || from.value > known + 1 || it.not_from_.contains({branch, point.root})) continue;
    Result<Lists> put = it.put_batch(branch, feed.tail, from, batch, key);
    if (put || put.error().fault != Fault::not_authentic) return put;
    // A head that its node signed, and these entries do not lead from this line to it: two lines, or a peer that lies. walk() finds out.
    if (!store::verify_head(batch.head_note, id, key)) return put;
    if (it.not_from_.size() >= memos_most) it.not_from_.clear();
    it.not_from_.emplace(branch, point.root);
    it.walked_.erase({id, point.root});  // an earlier walk may have ended here, and would not be made again
    why = std::move(put.error());
  }
  if (why) return fail(Fault::exists, "entries that do not continue what is held: their node has written two histories, or they are not its");
  return it.walk(point, from, batch, key);
}

/// Entries that are asked for from the first on, because no line here leads to the point: compared with what is held until the first that differs. Only
/// there, under its node's signature, a new line begins.
Result<Library::Lists> Library::Body::walk(const Point& point, Sequence from, const Batch& batch, const crypto::VerifyKey& key) {
  constexpr std::size_t memos_most = 4096;
  const store::Branch first = lines(point.feed).begin()->first;
  const std::uint64_t known = feeds_.at(first).tail.sequence().value;
  const std::uint64_t end = from.value - 1 + batch.entries.size();
  if (from.value > known) return fail(Fault::stale, "entries that do not follow what is held");
  const std::size_t count = std::min<std::size_t>(batch.entries.size(), known - from.value + 1);
  if (std::ranges::equal(std::span(batch.entries).first(count), TRY(entries_of(first, from, count)))) {
    if (end > known) {
      // They do continue this line: whoever sent others for this point before was lying.
      not_from_.erase({first, point.root});
      return put_batch(first, feeds_.at(first).tail, from, batch, key);
    }
    if (walked_.size() >= memos_most) walked_.clear();
    walked_[{point.feed, point.root}] = {end};
    if (end < known && end < point.sequence.value) return Lists{};
    // The same all along: it was the peer that lied about the point, or about what follows.
    if (point.sequence.value > known) not_from_.erase({first, point.root});
    return fail(Fault::not_authentic, "a point of a feed to which its entries do not lead");
  }
  Batch all{TRY(entries_of(first, {1}, from.value - 1)), batch.head_note, batch.proof};
  all.entries.insert(all.entries.end(), batch.entries.begin(), batch.entries.end());
  for (const auto& [branch, feed] : lines(point.feed)) {
    if (branch == first) continue;
    const std::vector<Bytes> theirs = TRY(entries_of(branch, {1}, feed.tail.sequence().value));
    const std::size_t common = std::min(theirs.size(), all.entries.size());
    if (!std::ranges::equal(std::span(theirs).first(common), std::span(all.entries).first(common))) continue;
    if (all.entries.size() <= theirs.size()) return fail(Fault::stale, "entries that are known already");
    return put_batch(branch, feed.tail, {1}, all, key);
  }
  if (std::ranges::distance(lines(point.feed)) >= static_cast<std::ptrdiff_t>(lines_most)) return fail(Fault::over_limit, "a feed of more lines than are kept");
  return put_batch(store::Branch(point.feed, point.root), store::FeedTail(point.feed), {1}, all, key);
}

Result<std::vector<Bytes>> Library::Body::entries_of(const store::Branch& branch, Sequence from, std::uint64_t count) const {
  std::vector<Bytes> out;
  if (count == 0) return out;
  auto in = TRY(context_.truth.read());
  TRY(in.each_entry(branch, from, [&](Sequence, ByteView entry) -> Result<bool> {
    out.push_back(bytes_of(entry));
    return out.size() < count;
  }));
  return out;
}

/// The entries of a batch that follow `tail`, into the truth and what is known. `branch` may be new.
Result<Library::Lists> Library::Body::put_batch(const store::Branch& branch, store::FeedTail tail, Sequence from, const Batch& batch,
                                                const crypto::VerifyKey& key) {
  if (from.value > tail.sequence().value + 1) return fail(Fault::stale, "entries with a gap before them");
  const std::span<const Bytes> fresh_bytes = std::span(batch.entries).subspan(tail.sequence().value + 1 - from.value);
  auto write = TRY(context_.truth.write());
  std::vector<Entry> entries = TRY(tail.check_batch(fresh_bytes, batch.head_note, batch.proof, key, write.keep_subtrees(branch)));
  Lists lists;
  for (const Entry& entry : entries) {
    TRY(check_entry(context_.realm, entry));
    const auto* object = std::get_if<store::PackListObject>(&entry.packs);
    if (object != nullptr && !TRY(write.pack_list(object->sha256))) lists.push_back(object->sha256);
  }
  if (!lists.empty()) return lists;
  std::vector<Fresh> fresh;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    TRY(write.put_entry(branch, entries[i].sequence, fresh_bytes[i]));
    fresh.push_back(TRY(read_fresh(std::move(entries[i]), write)));
    const auto none_has = [](const PackListing& pack) { return pack.size_bytes < crypto::pack_bytes_min || pack.size_bytes > crypto::bulk_pack_bytes; };
    if (std::ranges::any_of(fresh.back().packs, none_has)) return fail(Fault::malformed, "an entry that lists a pack of a size that none has");
  }
  TRY(write.put_head(branch, {batch.head_note, tail.encode(), batch.proof}));
  TRY(write.commit());

  // Durable: from here on nothing fails but what is derived, which is tried again (behind).
  Feed& feed = feeds_.try_emplace(branch, Feed{store::FeedTail(branch.feed)}).first->second;
  feed.tail = std::move(tail);
  feed.note = batch.head_note;
  feed.proof = batch.proof;
  for (Fresh& entry : fresh) know_entry(branch, feed, std::move(entry));
  settle(feed);
  const bool cut = mesh() != nullptr && !mesh()->cuts.empty() && is_forked(branch.feed);
  derive(cut);  // entries whose packs are all here already; and which line a cut means may only now be known
  return lists;
}

std::vector<Library::Missing> Library::missing(std::size_t most, std::int64_t now_ms) const {
  using Packs = const std::set<PackAddress>*;
  std::map<NodeId, std::vector<Packs>> by_writer;
  const std::map<store::Branch, Sequence> ends = body_->fetched_to();
  for (const auto& [branch, feed] : body_->feeds_) {
    for (const auto& [sequence, packs] : feed.lacking) {
      if (sequence <= ends.at(branch).value) by_writer[branch.feed.node].push_back(&packs);
    }
  }
  struct Turn {
    std::span<const Packs> left;
    std::set<PackAddress>::const_iterator next;
  };
  std::vector<Turn> turns;
  for (auto& [node, entries] : by_writer) {
    std::ranges::stable_sort(entries, {}, [](Packs packs) { return packs->size(); });
    turns.push_back({entries, entries.front()->begin()});
  }
  std::vector<Missing> out;
  std::set<PackAddress> seen;
  while (!turns.empty()) {
    for (Turn& turn : turns) {
      for (bool taken = false; !taken && !turn.left.empty();) {
        const PackAddress& address = *turn.next;
        const Body::Wanted& wanted = body_->missing_.at(address);
        if (!wanted.claims.empty() && wanted.not_before_ms <= now_ms && seen.insert(address).second) {
          if (out.size() == most) return out;
          const std::uint32_t size = wanted.claims.begin()->size_bytes;
          const bool agreed = std::ranges::all_of(wanted.claims, [&](const Body::Claim& claim) { return claim.size_bytes == size; });
          out.push_back({address, agreed ? size : 0});
          taken = true;
        }
        if (++turn.next != turn.left.front()->end()) continue;
        turn.left = turn.left.subspan(1);
        if (!turn.left.empty()) turn.next = turn.left.front()->begin();
      }
    }
    std::erase_if(turns, [](const Turn& turn) { return turn.left.empty(); });
  }
  return out;
}

std::uint64_t Library::missing_count() const { return body_->missing_.size(); }

bool Library::is_missing(const PackAddress& address) const {
  const auto wanted = body_->missing_.find(address);
  return wanted != body_->missing_.end() && !wanted->second.claims.empty();
}

void Library::put_off(const PackAddress& address, std::int64_t now_ms) {
  constexpr std::int64_t step_ms_least = 60'000, step_ms_most = 3'600'000;
  const auto wanted = body_->missing_.find(address);
  if (wanted == body_->missing_.end()) return;
  wanted->second.step_ms = std::clamp(2 * wanted->second.step_ms, step_ms_least, step_ms_most);
  wanted->second.not_before_ms = now_ms + wanted->second.step_ms;
}

Result<void> Library::check_pack(const PackAddress& address, ByteView sealed) {
  const auto wanted = body_->missing_.find(address);
  if (wanted == body_->missing_.end()) return fail(Fault::denied, "a pack that no entry here lacks");
  if (crypto::address_of(sealed) != address) return fail(Fault::not_authentic, "a pack of another address");
  const auto header = crypto::check_sealed(sealed);
  const bool ours = header && header->library == body_->id_;
  std::erase_if(wanted->second.claims, [&](const Body::Claim& claim) {
    return !ours || claim != Body::Claim{static_cast<std::uint32_t>(sealed.size()), header->kind, header->epoch};
  });
  if (wanted->second.claims.empty()) return fail(Fault::denied, "a pack of another library, size, kind or epoch than any entry says");
  return {};
}

bool Library::packs_durable(std::span<const PackAddress> addresses) {
  bool changed = false;
  std::set<store::Branch> touched;
  for (const PackAddress& address : addresses) {
    const auto wanted = body_->missing_.find(address);
    if (wanted == body_->missing_.end()) continue;
    for (const auto& [id, sequence] : wanted->second.by) {
      Body::Feed& feed = body_->feeds_.at(id);
      const auto lacking = feed.lacking.find(sequence);
      lacking->second.erase(address);
      if (lacking->second.empty()) feed.lacking.erase(lacking);
      touched.insert(id);
    }
    body_->missing_.erase(wanted);
    body_->unindexed_.insert(address);
    body_->index_.set_absent(address, false);
    changed = true;
  }
  for (const store::Branch& branch : touched) body_->settle(body_->feeds_.at(branch));
  if (changed) body_->derive(false);
  return changed;
}

void Library::judge_again() { body_->derive(true); }
const std::optional<Error>& Library::behind() const { return body_->behind_; }
void Library::catch_up() { body_->derive(false); }

std::set<NodeId> Library::beyond_quota() const {
  std::set<NodeId> out;
  (void)body_->fetched_to(&out);
  return out;
}

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

bool Library::all_opened() const { return body_->folder_.has_value() && body_->unindexed_.empty(); }

Result<bool> Library::pack_damaged(const PackAddress& address) {
  Body& it = *body_;
  if (it.missing_.contains(address)) return true;
  Body::Wanted wanted;
  auto in = TRY(it.context_.truth.read());
  for (const auto& [branch, feed] : it.feeds_) {
    TRY(in.each_entry(branch, {1}, [&](Sequence sequence, ByteView bytes) -> Result<bool> {
      const Entry entry = TRY(store::decode_entry(bytes));
      for (const PackListing& pack : TRY(it.listings(entry, in))) {
        if (pack.address != address) continue;
        wanted.claims.insert({pack.size_bytes, pack.kind, entry.epoch});
        wanted.by.emplace(branch, sequence.value);
      }
      return true;
    }));
  }
  if (wanted.by.empty()) return false;
  for (const auto& [branch, sequence] : wanted.by) {
    Body::Feed& feed = it.feeds_.at(branch);
    feed.lacking[sequence].insert(address);
    it.settle(feed);
  }
  it.missing_.emplace(address, std::move(wanted));
  it.unindexed_.erase(address);
  it.index_.set_absent(address, true);
  return true;
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

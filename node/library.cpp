#include "node/library.h"

#include <algorithm>

#include "base/archive.h"
#include "node/library_body.h"

// What is known and what is held: entries are durable as soon as they are checked; a feed is *held* up to the last entry before the first that lists a
// pack which is missing here. Records are judged when the meta packs of their entry are here, wherever the held head stands.
//
// The folder is a function of the set of accepted records. When one leaves that set (a cut), the documents that it names are made anew from those that
// stay. History is brought up to date when somebody asks for it, because a late record changes every commit after its place.
namespace dozo::node {
namespace {

/// As stopped people stand in the truth (docs/storage-format.md section 4).
struct KeptMark {
  NodeId node;
  IncarnationId incarnation;
  Digest fork;
  std::uint64_t sequence{};
};
template <class A>
void serialize(A& archive, KeptMark& it) {
  archive(it.node, it.incarnation, it.fork, it.sequence);
}
struct KeptPeople {
  std::vector<PersonId> people;
  std::vector<KeptMark> marks;
};
template <class A>
void serialize(A& archive, KeptPeople& it) {
  archive(archive::capped<100'000>(it.people), archive::capped<1'000'000>(it.marks));
}
struct KeptStops {
  std::vector<KeptPeople> groups;
};
template <class A>
void serialize(A& archive, KeptStops& it) {
  archive(archive::capped<100'000>(it.groups));
}
constexpr std::size_t stopped_people_bytes_most = std::size_t{256} << 20;

}  // namespace

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
/// Rows that are damaged are made anew, all of the library's; but not again and again, where it is the truth that is damaged.
void Library::Body::derive(Judge what) {
  Result<void> done = derive_now(what);
  if (!done && done.error().fault == Fault::corrupt && !made_anew_) {
    made_anew_ = was_damaged_ = state_is_bad_ = true;
    folder_.reset();
    done = derive_now(Judge::anew);
  } else if (done) {
    made_anew_ = false;
  }
  behind_ = done ? std::nullopt : std::optional(std::move(done.error()));
}

Result<void> Library::Body::derive_now(Judge what) {
  if (!has_keys()) {
    folder_.reset();
    unopened_.clear();
    return {};
  }
  if (!folder_ || folder_->rule() != rule()) {
    TRY(open_view());
    what = std::max(what, Judge::anew);
  }
  // Records need neither, and are judged whatever became of these.
  Result<void> noted = note_suspended();
  const std::vector<PackAddress> addresses(unindexed_.begin(), unindexed_.end());
  Result<void> indexed = index_packs(addresses);
  Result<void> opened = open_records();
  if (!opened && opened.error().fault == Fault::corrupt) return opened;
  Result<void> judged = judge_rows(what);
  for (Result<void>* it : {&judged, &opened, &noted}) {
    if (!*it) return std::move(*it);
  }
  return indexed;
}

std::string Library::suspended_name(const LibraryId& library, const NodeId& node) { return "suspended/" + library.hex() + "/" + node.hex(); }

std::string Library::stopped_people_name(const LibraryId& library) { return "suspended/" + library.hex() + "/people"; }

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
  const auto people = TRY(in.local(stopped_people_name(id_)));
  if (!people) return {};
  for (const KeptPeople& kept : TRY(archive::decode<KeptStops>(*people, stopped_people_bytes_most, "stopped people")).groups) {
    StoppedPeople& group = stopped_people_.emplace_back();
    group.people.insert(kept.people.begin(), kept.people.end());
    for (const KeptMark& it : kept.marks) group.marks[store::Branch({id_, it.node, it.incarnation}, it.fork)] = {it.sequence};
  }
  return {};
}

/// Who was stopped since then has the lines as they are known now.
void Library::Body::note_stopped_people(const std::set<PersonId>& now) {
  std::set<PersonId> added = now;
  for (StoppedPeople& group : stopped_people_) {
    if (std::erase_if(group.people, [&](const PersonId& it) { return !now.contains(it); }) != 0) stopped_people_unsaved_ = true;
    for (const PersonId& it : group.people) added.erase(it);
  }
  std::erase_if(stopped_people_, [](const StoppedPeople& it) { return it.people.empty(); });
  if (added.empty()) return;
  StoppedPeople& group = stopped_people_.emplace_back();
  group.people = std::move(added);
  for (const auto& [branch, feed] : feeds_) group.marks.emplace(branch, feed.tail.sequence());
  stopped_people_unsaved_ = true;
}

/// Suspensions that began or ended since. How far the node's lines are known by then is kept in the truth: after a restart only its own word would be left.
Result<void> Library::Body::note_suspended() {
  if (!context_.realm.trusted_now_ms()) return {};  // without a clock no suspension begins or ends
  const Realm::StoppedNow stopped = context_.realm.stopped_now();
  note_stopped_people(stopped.people);
  const std::map<NodeId, std::int64_t>& now = stopped.nodes;
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
  if (suspended_unsaved_.empty() && !stopped_people_unsaved_) return {};
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
  if (stopped_people_unsaved_) {
    if (stopped_people_.empty()) {
      TRY(write.erase_local(stopped_people_name(id_)));
    } else {
      KeptStops kept;
      for (const StoppedPeople& group : stopped_people_) {
        KeptPeople& to = kept.groups.emplace_back();
        to.people.assign(group.people.begin(), group.people.end());
        for (const auto& [branch, sequence] : group.marks) to.marks.push_back({branch.feed.node, branch.feed.incarnation, branch.fork, sequence.value});
      }
      TRY(write.put_local(stopped_people_name(id_), archive::encode(kept)));
    }
  }
  TRY(write.commit());
  suspended_unsaved_.clear();
  stopped_people_unsaved_ = false;
  return {};
}

std::optional<Error> Library::Body::store_fault(const PackAddress& address, const Error& why) const {
  if (why.fault != Fault::unavailable && why.fault != Fault::corrupt) return std::nullopt;
  auto in = context_.truth.read();
  const auto here = in ? in->has_pack(address) : Result<bool>(std::unexpected(in.error()));
  if (here && !*here) return std::nullopt;
  return Error{Fault::unavailable, "a pack cannot be read now: " + why.text};
}

Result<void> Library::Body::index_packs(std::span<const PackAddress> addresses) {
  constexpr std::size_t packs_most = 64;  // whose places are held at a time
  std::vector<DerivedIndex::Pack> batch;
  std::optional<Error> passed_over;  // the first pack that the store does not give now: it holds up no other
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
    if (!opened) {
      if (auto fault = store_fault(address, opened.error())) {
        if (!passed_over) passed_over = std::move(fault);
        continue;
      }
      if (opened.error().fault == Fault::denied || opened.error().fault == Fault::corrupt) continue;  // its key may come; it is to be healed
    }
    // A pack that does not open, or holds what it does not say, was made so by a node with keys: it gives no pieces, and no receipt says that it was opened.
    if (!opened || !opened->verify_all()) {
      unsound_.insert(address);
      continue;
    }
    batch.push_back({address, opened->places()});
    if (batch.size() == packs_most) TRY(flush());
  }
  TRY(flush());
  return passed_over ? Result<void>(std::unexpected(std::move(*passed_over))) : Result<void>();
}

// ---- sync ----------------------------------------------------------------------------------------------------------------
Library::Library(std::unique_ptr<Body> body) : body_(std::move(body)) {}
Library::~Library() = default;

Result<std::unique_ptr<Library>> Library::open(const LibraryContext& context, const LibraryId& id) {
  auto body = std::make_unique<Body>(context, id);
  TRY(body->load());
  TRY(body->load_suspended());
  body->derive(Body::Judge::anew);
  return std::unique_ptr<Library>(new Library(std::move(body)));
}

const LibraryId& Library::id() const { return body_->id_; }

void Library::judge_again() { body_->derive(Body::Judge::anew); }
const std::optional<Error>& Library::behind() const { return body_->behind_; }
void Library::catch_up() { body_->derive(Body::Judge::anew); }

bool Library::mend() {
  if (!body_->folder_ || body_->made_anew_) return false;
  body_->was_damaged_ = body_->state_is_bad_ = true;
  body_->folder_.reset();
  body_->derive(Body::Judge::anew);
  body_->made_anew_ = true;  // until something is derived without a fault
  return body_->folder_.has_value();
}

bool Library::was_damaged() const { return body_->was_damaged_; }

std::optional<std::int64_t> Library::due_ms() const {
  return body_->folder_ && !body_->ahead_.empty() ? std::optional(body_->ahead_.begin()->first) : std::nullopt;
}

void Library::judge_due() {
  const auto now_ms = body_->context_.realm.trusted_now_ms();
  if (!now_ms || !body_->folder_) return;
  std::vector<RecordNumber> numbers;
  for (const auto& [at_ms, number] : body_->ahead_) {
    if (at_ms > *now_ms) break;
    numbers.push_back(number);
  }
  if (Result<void> done = body_->judge_rows(std::move(numbers)); !done) body_->behind_ = std::move(done.error());
}

// ---- reading -------------------------------------------------------------------------------------------------------------
bool Library::has_keys() const { return body_->has_keys(); }
const store::Folder* Library::folder() const { return body_->folder_ ? &*body_->folder_ : nullptr; }
Result<const store::Folder*> Library::readable() const {
  if (!has_keys()) return fail(Fault::denied, "this node has no keys for the library: it holds sealed packs alone");
  if (body_->folder_) return &*body_->folder_;
  if (body_->behind_) return std::unexpected(*body_->behind_);
  return fail(Fault::unavailable, "the library is not open yet");
}
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
  if (!body_->folder_) return out;
  if (const auto shown = body_->folder_->counts()) out.documents = shown->documents, out.conflicts = shown->conflicts;
  if (const auto all = refused()) out.refused = all->size();
  return out;
}

Result<std::map<RecordId, store::Refusal>> Library::refused() const {
  std::map<RecordId, store::Refusal> out;
  if (!body_->folder_) return out;
  const auto in = TRY(body_->context_.derived.read());
  for (const RecordNumber number : TRY(body_->rows_.not_counting(*in))) {
    const auto row = TRY(body_->rows_.record(*in, number));
    if (row && row->refusal) out.emplace(row->id, *row->refusal);
  }
  return out;
}

Result<Library::DerivedState> Library::derived_state() const {
  TRY(readable());
  return DerivedState{body_->state_->entries, body_->state_->last.value, body_->state_->judged_by};
}

Result<std::shared_ptr<const store::StoredRecord>> Library::record(const RecordId& id) const {
  std::optional<RecordNumber> number;
  {
    const auto in = TRY(body_->context_.derived.read());
    number = TRY(body_->rows_.number_of(*in, id));
  }
  if (!number) return fail(Fault::not_found, "a record that is not known here");
  auto out = TRY(body_->record(*number));
  if (out->id != id) return fail(Fault::corrupt, "rows of the derived store do not fit each other: run dozo fsck --rebuild");
  return out;
}

}  // namespace dozo::node

// Records of a library: from entries and their meta packs into rows and the folder, and judged anew when what they are judged by changes.
#include <algorithm>

#include "base/invariant.h"
#include "crypto/hash.h"
#include "node/library_body.h"

namespace dozo::node {
namespace {

/// Of one transaction, so that it stays small.
constexpr std::size_t ops_at_once = 1000, rows_at_once = 256;

/// Nothing needs to be written for it to count one day.
bool waits(store::Refusal refusal) { return refusal == store::Refusal::ahead_of_clock || refusal == store::Refusal::suspended; }

Error rows_torn() { return {Fault::corrupt, "rows of the derived store do not fit each other: run dozo fsck --rebuild"}; }

/// Of something else than rows: a pack that is damaged and comes back, a key that may come; or the store cannot be written now.
bool may_pass(const Error& error) { return error.fault == Fault::unavailable || error.fault == Fault::denied; }

bool same_verdict(const RecordRow& a, const RecordRow& b) {
  return a.refusal == b.refusal && std::ranges::equal(a.carriers, b.carriers, [](const Carrier& one, const Carrier& other) {
           return one.authentic == other.authentic && one.refusal == other.refusal;
         });
}

}  // namespace

// ---- opening -------------------------------------------------------------------------------------------------------------
Result<void> Library::Body::erase(ByteView space) {
  for (bool more = true; more;) {
    const auto out = TRY(context_.derived.write());
    more = TRY(LibraryRows::erase_some(*out, space));
    TRY(out->commit());
  }
  return {};
}

Result<void> Library::Body::put_state(LibraryState state) {
  const auto out = TRY(context_.derived.write());
  TRY(rows_.put_state(*out, state));
  TRY(out->commit());
  state_ = std::move(state);
  return {};
}

Result<void> Library::Body::open_view() {
  folder_.reset();
  state_.reset();
  history_.reset();
  history_folder_.reset();
  for (auto& it : beside_) it.reset();
  const bool portable = rule() == store::NameRule::portable;
  std::optional<LibraryState> state;
  if (!state_is_bad_) {
    const auto in = TRY(context_.derived.read());
    state = TRY(rows_.state(*in));
  }
  if (!state || state->portable_names != portable || !TRY(scan_entries(*state))) {
    {
      // First of all: what is erased in part must not be taken for whole.
      const auto out = TRY(context_.derived.write());
      TRY(rows_.erase_state(*out));
      TRY(out->commit());
    }
    TRY(erase(rows_.space()));
    TRY(erase(rows_.history_space()));
    state = LibraryState{};
    state->portable_names = portable;
    state->in_history = in_history_unknown;
    TRY(put_state(*state));
    TRY(scan_entries(*state));
    state_is_bad_ = false;
  }
  {
    const auto in = TRY(context_.derived.read());
    for (const RecordNumber number : TRY(rows_.not_counting(*in))) {
      if (const auto row = TRY(rows_.record(*in, number))) note(number, *row);
    }
  }
  forget_all();
  state_ = std::move(state);
  folder_.emplace(store::Folder::Place{context_.derived, view_table, rows_.space(), context_.local}, rule(), *this);
  return {};
}

Result<bool> Library::Body::scan_entries(const LibraryState& state) {
  unopened_.clear();
  refused_at_.clear();
  ahead_.clear();
  std::uint64_t taken = 0;
  bool fits = true;
  auto truth = TRY(context_.truth.read());
  const auto derived = TRY(context_.derived.read());
  for (const auto& [branch, feed] : feeds_) {
    PolicyVersion highest;
    std::int64_t latest_ms = std::numeric_limits<std::int64_t>::min();
    TRY(truth.each_entry(branch, {1}, [&](Sequence sequence, ByteView bytes) -> Result<bool> {
      const store::Entry entry = TRY(store::decode_entry(bytes));
      const Carrier carrier{branch, sequence, entry.policy, highest, false, entry.time_ms, latest_ms, std::nullopt};
      highest = std::max(highest, entry.policy);
      latest_ms = std::max(latest_ms, entry.time_ms);
      if (!entry.is(store::EntryKind::change)) return true;
      const EntryPlace place(branch, sequence.value);
      if (const auto row = TRY(rows_.entry(*derived, branch, sequence))) {
        ++taken;
        fits = *row == LibraryRows::entry_row(row->record, bytes);
        if (row->record.value == 0) refused_at_.insert(place);
        return fits;
      }
      Unopened unopened{carrier, entry.record, {}};
      for (const store::PackListing& pack : TRY(listings(entry, truth))) {
        if (pack.kind == crypto::PackKind::meta) unopened.meta.push_back(pack.address);
      }
      unopened_.emplace(place, std::move(unopened));
      return true;
    }));
    if (!fits) return false;
  }
  return taken == state.entries;
}

// ---- taking in -----------------------------------------------------------------------------------------------------------
/// The record that an entry commits to, if it is in one of its meta packs.
Result<std::optional<store::SignedRecord>> Library::Body::find_record(std::span<const PackAddress> meta, const Digest& commitment,
                                                                      std::optional<Unread>& unread) const {
  for (const PackAddress& address : meta) {
    const auto opened = pieces_.open(address);
    if (!opened) {
      const Fault fault = opened.error().fault;
      // A key or the pack may come, or be healed. Whatever else is wrong with it, its writer made it so, and it stops nothing but itself.
      if (fault != Fault::denied && fault != Fault::unavailable && fault != Fault::corrupt) continue;
      unread = Unread{address, opened.error()};
      return std::unexpected(opened.error());
    }
    for (const store::PiecePlace& place : opened->places()) {
      if (place.type != store::PieceType::record) continue;
      const auto bytes = opened->piece(place.id, place.type);
      if (!bytes) continue;
      auto found = store::decode_signed_record(*bytes);
      if (found && store::commitment(*found) == commitment) return std::move(*found);
    }
  }
  return std::nullopt;
}

/// A record that cannot be taken in now, as another that it meets cannot be read, holds up no other. The fault is the first of theirs.
Result<void> Library::Body::open_records() {
  std::vector<Opened> batch;
  std::size_t bytes = 0;
  std::optional<Error> passed_over;
  const auto flush = [&]() -> Result<void> {
    Result<void> done = take(batch);
    if (!done && may_pass(done.error())) {
      for (const Opened& one : batch) {
        done = take({&one, 1});
        if (!done && !may_pass(done.error())) return done;
        if (!done && !passed_over) passed_over = std::move(done.error());
      }
      done = {};
    }
    batch.clear();
    bytes = 0;
    return done;
  };
  for (auto at = unopened_.begin(); at != unopened_.end();) {
    const auto& [place, entry] = *at++;  // which take() erases
    const auto feed = feeds_.find(place.first);
    const auto lacking = feed->second.lacking.find(place.second);
    if (lacking != feed->second.lacking.end() && std::ranges::any_of(entry.meta, [&](const PackAddress& it) { return lacking->second.contains(it); })) continue;
    std::optional<Unread> unread;
    auto found = find_record(entry.meta, entry.commitment, unread);
    if (!found) {
      // What it needs may come. What the store does not give, though it has it, is tried again.
      auto fault = unread ? store_fault(unread->pack, unread->why) : std::nullopt;
      if (fault && !passed_over) passed_over = std::move(fault);
      continue;
    }
    auto in = TRY(context_.truth.read());
    const auto written = TRY(in.entry(place.first, {place.second}));
    if (!written) return fail(Fault::corrupt, "entries of a feed are gone: run dozo fsck");
    if (*found) bytes += (*found)->record.size();
    batch.push_back({entry.carrier, LibraryRows::entry_row({}, *written), std::move(*found)});
    if (batch.size() == rows_at_once || bytes > store::record_bytes_most) TRY(flush());
  }
  TRY(flush());
  return passed_over ? Result<void>(std::unexpected(std::move(*passed_over))) : Result<void>();
}

/// Entries with their records into rows and the folder, and `packs` into the index: all of it or nothing.
Result<void> Library::Body::take(std::span<const Opened> opened, std::span<const DerivedIndex::Pack> packs) {
  if (opened.empty()) return {};
  const auto out = TRY(context_.derived.write());
  Writing writing(*this, *out);
  for (const DerivedIndex::Pack& pack : packs) TRY(index_.put(*out, pack));
  LibraryState state = *state_;
  Judging judging = this->judging();
  std::map<RecordNumber, RecordRow> rows;
  std::set<DocumentId> left;
  for (const Opened& it : opened) {
    EntryRow entry = it.row;
    auto record = it.record ? store::decode_record(it.record->record) : Result<store::Record>(fail(Fault::not_found, ""));
    if (record && record->library == id_) {
      const RecordId id = store::record_id(it.record->record);
      const auto known = TRY(rows_.number_of(*out, id));
      entry.record = known ? *known : RecordNumber{++state.last.value};
      const std::optional<RecordRow> before = known ? TRY(rows_.record(*out, *known)) : std::nullopt;
      if (known && (!before || before->id != id)) return std::unexpected(rows_torn());
      RecordRow row =
          before ? *before : RecordRow{id, record->hlc, record->device, record->person, record->role, store::well_formed(*record, id).has_value(), {}, {}};
      Carrier& carrier = row.carriers.emplace_back(it.carrier);
      carrier.authentic = rights_.knows(carrier.policy) && verify_record(context_.realm, carrier.policy, *it.record, *record).has_value();
      remember(entry.record, std::make_shared<store::StoredRecord>(id, std::move(*record)));
      TRY(judge(row, judging));
      TRY(settle(*out, state, entry.record, row, before, left));
      rows.insert_or_assign(entry.record, std::move(row));
    }
    TRY(rows_.put_entry(*out, it.carrier.branch, it.carrier.sequence, entry));
    ++state.entries;
  }
  TRY(reset(*out, left));
  TRY(rows_.put_state(*out, state));
  TRY(out->commit());
  writing.committed();

  state_ = std::move(state);
  for (const Opened& it : opened) {
    const EntryPlace place(it.carrier.branch, it.carrier.sequence.value);
    unopened_.erase(place);
    refused_at_.insert(place);  // without a record; note() knows of the others
  }
  for (const auto& [number, row] : rows) note(number, row);
  for (const DerivedIndex::Pack& pack : packs) unindexed_.erase(pack.address);
  forget_some();
  return {};
}

void Library::Body::note(RecordNumber number, const RecordRow& row) {
  for (const Carrier& carrier : row.carriers) {
    const EntryPlace place(carrier.branch, carrier.sequence.value);
    if (carrier.refusal && store::is_final(*carrier.refusal)) {
      refused_at_.insert(place);
    } else {
      refused_at_.erase(place);
    }
  }
  const std::pair due(store::time_ms(row.hlc) - store::lead_ms_most, number);
  if (row.refusal == store::Refusal::ahead_of_clock) {
    ahead_.insert(due);
  } else {
    ahead_.erase(due);
  }
}

// ---- judging -------------------------------------------------------------------------------------------------------------
Digest Library::Body::judged_by() const {
  crypto::Sha256 hash;
  const auto number = [&](std::uint64_t value) {
    std::array<std::uint8_t, 8> bytes{};
    put_u64(bytes.data(), value);
    hash.update(bytes);
  };
  if (const policy::MeshLibrary* library = mesh()) {
    // A new policy alone changes nothing for records that count, or never will.
    const auto subject = [&](const store::CutSubject& it) { std::visit([&](const auto& id) { hash.update(id.view()); }, it); };
    const auto point = [&](const policy::FeedPoint& it) {
      hash.update(it.node.view()), hash.update(it.incarnation.view()), number(it.sequence.value), hash.update(it.root.view());
    };
    number(library->cuts.size());
    for (const policy::Cut& cut : library->cuts) {
      number(cut.since.value), subject(cut.subject), number(cut.ends.size());
      for (const policy::FeedPoint& it : cut.ends) point(it);
    }
    number(library->admits.size());
    for (const policy::Admit& admit : library->admits) number(admit.cut.value), subject(admit.subject), point(admit.up_to);
    // Which line a cut means follows from the lines that are known, and how far.
    for (const auto& [branch, feed] : feeds_) {
      if (library->cuts.empty()) break;
      const Cuts in_force = cuts(branch);
      hash.update(branch.feed.node.view()), hash.update(branch.feed.incarnation.view()), hash.update(branch.fork.view());
      for (const store::Cut& cut : in_force.cuts) number(store::end_of(cut, branch.feed, in_force.admits).value);
    }
  }
  number(suspended_.size());
  for (const auto& [node, marks] : suspended_) {
    hash.update(node.view());
    number(marks.size());
    for (const auto& [branch, sequence] : marks) hash.update(branch.feed.incarnation.view()), hash.update(branch.fork.view()), number(sequence.value);
  }
  number(stopped_people_.size());
  for (const StoppedPeople& group : stopped_people_) {
    number(group.people.size());
    for (const PersonId& person : group.people) hash.update(person.view());
    number(group.marks.size());
    for (const auto& [branch, sequence] : group.marks)
      hash.update(branch.feed.node.view()), hash.update(branch.feed.incarnation.view()), hash.update(branch.fork.view()), number(sequence.value);
  }
  return hash.finish();
}

std::optional<store::Refusal> Library::Body::refusal_of(const RecordRow& row, const Carrier& carrier, Judging& judging) const {
  auto line = judging.cuts.find(carrier.branch);
  if (line == judging.cuts.end()) line = judging.cuts.emplace(carrier.branch, this->cuts(carrier.branch)).first;
  store::Record header;  // all that is asked of it
  header.library = id_;
  header.hlc = row.hlc;
  header.device = row.device;
  header.person = row.person;
  header.role = row.role;
  store::EntryFacts facts{carrier.branch.feed, carrier.sequence, carrier.policy, carrier.highest_before, &header, row.well_formed, true, std::nullopt};
  if (const auto policy = context_.realm.policy_at(carrier.policy)) {
    facts.time = {carrier.time_ms, carrier.latest_before_ms, policy->mesh().header.issued_s * 1000};
  }
  // The clock only holds back: when a record's time has come at all nodes they agree.
  std::optional<store::Refusal> refusal = store::judge(facts, rights_, line->second.cuts, line->second.admits, judging.trusted_ms);
  if (const auto marks = suspended_.find(carrier.branch.feed.node); !refusal && marks != suspended_.end()) {
    const auto known_then = marks->second.find(carrier.branch);
    if (known_then == marks->second.end() || carrier.sequence > known_then->second) refusal = store::Refusal::suspended;
  }
  for (const StoppedPeople& group : stopped_people_) {
    if (refusal || row.person.is_zero() || !group.people.contains(row.person)) continue;
    const auto known_then = group.marks.find(carrier.branch);
    if (known_then == group.marks.end() || carrier.sequence > known_then->second) refusal = store::Refusal::suspended;
  }
  if ((!refusal || waits(*refusal)) && !carrier.authentic) refusal = store::Refusal::no_right;
  return refusal;
}

Result<void> Library::Body::judge(RecordRow& row, Judging& judging) const {
  row.refusal.reset();
  bool counts = false;
  for (Carrier& carrier : row.carriers) {
    if (!carrier.authentic && carrier.refusal == store::Refusal::policy_not_known && rights_.knows(carrier.policy)) {
      const store::SignedRecord it = TRY(signed_record(row));
      const store::Record record = TRY(store::decode_record(it.record));
      carrier.authentic = verify_record(context_.realm, carrier.policy, it, record).has_value();
    }
    carrier.refusal = refusal_of(row, carrier, judging);
    counts = counts || !carrier.refusal;
    if (carrier.refusal && (!row.refusal || waits(*carrier.refusal))) row.refusal = carrier.refusal;  // what will change by itself before what may not
  }
  if (counts) row.refusal.reset();
  return {};
}

void Library::Body::note_refused(const RecordRow& row) const {
  if (context_.refusals == nullptr || !row.refusal || !store::is_final(*row.refusal) || row.carriers.empty()) return;
  const Carrier& carrier = row.carriers.front();
  store::Record header;  // as in refusal_of
  header.library = id_;
  header.hlc = row.hlc;
  header.device = row.device;
  header.person = row.person;
  header.role = row.role;
  std::string why(store::name_of(*row.refusal));
  if (*row.refusal == store::Refusal::no_right && rights_.knows(carrier.policy)) {
    const policy::Decision decision = rights_.decide(carrier.policy, header);
    why = decision.allowed ? "not signed by who it names, or through a node that may not" : RefusalLog::rules_of(decision);
  }
  note_refused("a record from elsewhere", header, carrier.policy, why);
}

/// A row that is new or judged anew, with what follows from it. The documents that it named and names no longer are put right by reset().
Result<void> Library::Body::settle(store::WriteTransaction& out, LibraryState& state, RecordNumber number, const RecordRow& row,
                                   const std::optional<RecordRow>& before, std::set<DocumentId>& left) {
  TRY(rows_.put_record(out, number, row, before));
  const bool was = before && !before->refusal, is = !row.refusal;
  if (row.refusal && (!before || before->refusal != row.refusal)) note_refused(row);
  if (was == is) return {};
  if (!state.history_dirty || row.stamp() < *state.history_dirty) state.history_dirty = row.stamp();
  if (is) return folder_->apply(out, number);
  const auto record = TRY(this->record(number));
  for (const store::Op& op : record->record.ops) left.insert(op.document);
  return {};
}

Result<void> Library::Body::reset(store::WriteTransaction& out, const std::set<DocumentId>& documents) {
  for (const DocumentId& document : documents) {
    std::vector<RecordNumber> stay;
    for (const RecordNumber maker : TRY(folder_->makers(out, document))) {
      const auto it = TRY(rows_.record(out, maker));
      if (it && !it->refusal) stay.push_back(maker);
    }
    TRY(folder_->reset(out, document, stay));
  }
  return {};
}

/// What cannot be judged now, as a record cannot be read, is passed over, and the first such fault comes back at the end.
Result<void> Library::Body::judge_rows(std::vector<RecordNumber> numbers) {
  Judging judging = this->judging();
  std::optional<Error> passed_over;
  struct Changed {
    RecordNumber number;
    RecordRow row, before;
  };
  const auto put = [&](std::span<const Changed> changed) -> Result<void> {
    const auto out = TRY(context_.derived.write());
    Writing writing(*this, *out);
    LibraryState state = *state_;
    std::set<DocumentId> left;
    for (const Changed& it : changed) TRY(settle(*out, state, it.number, it.row, it.before, left));
    TRY(reset(*out, left));
    TRY(rows_.put_state(*out, state));
    TRY(out->commit());
    writing.committed();
    state_ = std::move(state);
    for (const Changed& it : changed) note(it.number, it.row);
    forget_some();
    return {};
  };
  const auto pass = [&](Error error) {
    if (!passed_over) passed_over = std::move(error);
  };
  for (auto next = numbers.begin(); next != numbers.end();) {
    std::vector<Changed> changed;
    std::size_t ops = 0;
    {
      const auto in = TRY(context_.derived.read());
      for (; next != numbers.end() && ops < ops_at_once && changed.size() < rows_at_once; ++next) {
        auto before = TRY(rows_.record(*in, *next));
        if (!before) return std::unexpected(rows_torn());
        RecordRow row = *before;
        Result<void> judged = judge(row, judging);
        if (judged && !row.refusal != !before->refusal) {
          const auto read = record(*next);
          if (read) ops += (*read)->record.ops.size();
          if (!read) judged = std::unexpected(read.error());
        }
        if (!judged && !may_pass(judged.error())) return judged;
        if (!judged) pass(std::move(judged.error()));
        if (!judged || same_verdict(row, *before)) continue;
        changed.push_back({*next, std::move(row), std::move(*before)});
      }
    }
    if (changed.empty()) continue;
    Result<void> done = put(changed);
    if (done) continue;
    if (!may_pass(done.error())) return done;
    for (const Changed& one : changed) {
      done = put({&one, 1});
      if (!done && !may_pass(done.error())) return done;
      if (!done) pass(std::move(done.error()));
    }
  }
  return passed_over ? Result<void>(std::unexpected(std::move(*passed_over))) : Result<void>();
}

/// The clock was put back since they were taken in: they wait, as they do everywhere.
Result<void> Library::Body::judge_ahead() {
  const auto now_ms = context_.realm.trusted_now_ms();
  if (!now_ms) return {};
  std::vector<RecordNumber> numbers;
  {
    const auto in = TRY(context_.derived.read());
    TRY(rows_.each_accepted(*in, static_cast<std::uint64_t>(std::max<std::int64_t>(*now_ms + store::lead_ms_most + 1, 0)) << 16,
                            [&](RecordNumber number, const store::Stamp&) -> Result<bool> {
                              numbers.push_back(number);
                              return true;
                            }));
  }
  return judge_rows(std::move(numbers));
}

Result<void> Library::Body::judge_rows(Judge what) {
  if (what == Judge::fresh) return {};
  TRY(judge_ahead());
  const Digest by = judged_by();
  if (what == Judge::anew && by == state_->judged_by) {
    std::vector<RecordNumber> waiting;
    {
      const auto in = TRY(context_.derived.read());
      waiting = TRY(rows_.not_counting(*in));
    }
    return judge_rows(std::move(waiting));
  }
  std::optional<Error> passed_over;
  for (RecordNumber last{0}; last < state_->last;) {
    std::vector<RecordNumber> some;
    while (last < state_->last && some.size() < 4096) some.push_back(RecordNumber{++last.value});
    Result<void> done = judge_rows(std::move(some));
    if (!done && !may_pass(done.error())) return done;
    if (!done && !passed_over) passed_over = std::move(done.error());
  }
  if (passed_over) return std::unexpected(std::move(*passed_over));  // and all are judged again
  LibraryState state = *state_;
  state.judged_by = by;
  return put_state(std::move(state));
}

// ---- reading records again -----------------------------------------------------------------------------------------------
Result<store::SignedRecord> Library::Body::signed_record(const RecordRow& row) const {
  Error why{Fault::corrupt, "a record that no entry carries: run dozo fsck --rebuild"};
  for (const Carrier& carrier : row.carriers) {
    auto in = TRY(context_.truth.read());
    const auto bytes = TRY(in.entry(carrier.branch, carrier.sequence));
    if (!bytes) continue;
    const store::Entry entry = TRY(store::decode_entry(*bytes));
    std::vector<PackAddress> meta;
    for (const store::PackListing& pack : TRY(listings(entry, in))) {
      if (pack.kind == crypto::PackKind::meta) meta.push_back(pack.address);
    }
    std::optional<Unread> unread;
    auto found = find_record(meta, entry.record, unread);
    if (found && *found && store::record_id((*found)->record) == row.id) return std::move(**found);
    if (found) continue;
    why = {found.error().fault == Fault::denied ? Fault::denied : Fault::unavailable, "a record cannot be read now: " + found.error().text};
    record_is_away_ = record_is_away_ || (unread && !store_fault(unread->pack, unread->why));
  }
  return std::unexpected(std::move(why));
}

Result<std::shared_ptr<const store::StoredRecord>> Library::Body::record(RecordNumber number) {
  if (const auto known = remembered_.find(number); known != remembered_.end()) return known->second;
  std::unique_ptr<store::ReadTransaction> own;
  if (writing_ == nullptr) own = TRY(context_.derived.read());
  const auto row = TRY(rows_.record(writing_ != nullptr ? *writing_ : *own, number));
  if (!row) return std::unexpected(rows_torn());
  const store::SignedRecord found = TRY(signed_record(*row));
  auto out = std::make_shared<store::StoredRecord>(row->id, TRY(store::decode_record(found.record)));
  remember(number, out);
  forget_some();
  return std::shared_ptr<const store::StoredRecord>(std::move(out));
}

void Library::Body::remember(RecordNumber number, std::shared_ptr<const store::StoredRecord> record) {
  const std::size_t ops = record->record.ops.size();
  if (!remembered_.emplace(number, std::move(record)).second) return;
  remembered_order_.push_back(number);
  remembered_ops_ += ops;
}

void Library::Body::forget_some() {
  constexpr std::size_t ops_most = 8000;
  while (remembered_ops_ > ops_most && remembered_order_.size() > 1) {
    const auto first = remembered_.find(remembered_order_.front());
    remembered_ops_ -= first->second->record.ops.size();
    remembered_.erase(first);
    remembered_order_.pop_front();
  }
}

void Library::Body::forget_all() {
  remembered_.clear();
  remembered_order_.clear();
  remembered_ops_ = 0;
}

Result<std::uint64_t> Library::Body::last_hlc() const {
  const auto in = TRY(context_.derived.read());
  return rows_.last_hlc(*in);
}

}  // namespace dozo::node

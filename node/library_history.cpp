// History of a library: brought up to the accepted records when somebody asks for it, because a late record changes every commit after its place.
//
// Beside the commits the folder is kept as the last of them shows it, as rows of its own. A late record takes both back to its place, and they go on from
// there.
#include <algorithm>

#include "node/library_body.h"

namespace dozo::node {
namespace {

constexpr std::size_t documents_at_once = 200;

}  // namespace

Result<void> Library::Body::open_history() {
  if (!history_) history_.emplace(TRY(store::History::open(context_.derived, context_.local, id_)));
  if (!history_folder_) history_folder_.emplace(store::Folder::Place{context_.derived, view_table, rows_.history_space(), context_.local}, rule(), *this);
  if (state_->in_history == history_->size()) return {};
  // What was between the two when a run ended, or has failed, is not known. What is erased in part must not be taken for whole.
  LibraryState state = *state_;
  state.in_history = in_history_unknown;
  TRY(put_state(state));
  TRY(erase(rows_.history_space()));
  if (history_->size() > 0) TRY(history_->rewind_to(0));
  state.in_history = 0;
  state.history_dirty = store::Stamp{};
  return put_state(std::move(state));
}

/// Takes the history's folder, and then the history, back to its first `count` records.
Result<void> Library::Body::rewind_history(std::uint64_t count) {
  store::Stamp last;  // of those that stay
  std::set<DocumentId> documents;
  const auto number_at = [&](std::uint64_t place) -> Result<RecordNumber> {
    const RecordId id = TRY(history_->record_at(place));
    const auto in = TRY(context_.derived.read());
    const auto number = TRY(rows_.number_of(*in, id));
    if (!number) return fail(Fault::corrupt, "a commit of a record that is not known: run dozo fsck --rebuild");
    return *number;
  };
  const auto record_at = [&](std::uint64_t place) -> Result<std::shared_ptr<const store::StoredRecord>> {
    auto out = TRY(record(TRY(number_at(place))));
    if (out->id != TRY(history_->record_at(place))) return fail(Fault::corrupt, "a commit of another record: run dozo fsck --rebuild");
    return out;
  };
  if (count > 0) last = TRY(record_at(count))->stamp();
  for (std::uint64_t place = count + 1; place <= history_->size(); ++place) {
    const auto gone = TRY(record_at(place));
    for (const store::Op& op : gone->record.ops) documents.insert(op.document);
  }
  LibraryState state = *state_;
  state.in_history = in_history_unknown;  // until all of them are back
  for (auto next = documents.begin(); next != documents.end();) {
    const auto out = TRY(context_.derived.write());
    Writing writing(*this, *out);
    for (std::size_t some = 0; some < documents_at_once && next != documents.end(); ++some, ++next) {
      std::vector<RecordNumber> stay;
      for (const RecordNumber maker : TRY(history_folder_->makers(*out, *next))) {
        const auto row = TRY(rows_.record(*out, maker));
        if (count > 0 && row && row->stamp() <= last) stay.push_back(maker);
      }
      TRY(history_folder_->reset(*out, *next, stay));
    }
    TRY(rows_.put_state(*out, state));
    TRY(out->commit());
    writing.committed();
    state_ = state;
  }
  TRY(history_->rewind_to(count));
  state.in_history = count;
  TRY(put_state(std::move(state)));
  forget_some();
  return {};
}

/// What these records change, as steps of a history.
Result<std::vector<store::HistoryStep>> Library::Body::apply_steps(store::WriteTransaction& out, store::Folder& folder, std::span<const RecordNumber> records) {
  std::vector<store::HistoryStep> steps;
  for (const RecordNumber number : records) {
    const auto record = TRY(this->record(number));
    store::HistoryStep& step = steps.emplace_back(store::HistoryStep{record->id, record->record.hlc, record->record.who, record->record.text, {}});
    std::vector<store::Change> changes;
    TRY(folder.apply(out, number, &changes));
    for (const store::Change& change : changes) {
      store::TreeChange made{change.path, std::nullopt};
      if (change.now) {
        const store::ContentValue& value = change.now->value;
        const store::Source source = change.now->source.value_or(store::Source{});
        made.now = store::TreeFile{value.kind, value.executable, value.sha256, source.manifest, source.size_bytes, change.now->document};
      }
      step.changes.push_back(std::move(made));
    }
  }
  return steps;
}

/// The accepted records that follow, some at a time.
Result<void> Library::Body::extend_history() {
  store::Stamp last;
  if (const std::uint64_t count = history_->size(); count > 0) {
    const RecordId id = TRY(history_->record_at(count));
    const auto in = TRY(context_.derived.read());
    const auto number = TRY(rows_.number_of(*in, id));
    const auto row = number ? TRY(rows_.record(*in, *number)) : std::nullopt;
    if (!row || row->id != id) return fail(Fault::corrupt, "a commit of a record that is not known: run dozo fsck --rebuild");
    last = row->stamp();
  }
  for (;;) {
    std::vector<RecordNumber> next;
    const store::Stamp before = last;
    {
      const auto in = TRY(context_.derived.read());
      TRY(rows_.each_accepted(*in, last.hlc, [&](RecordNumber number, const store::Stamp& stamp) -> Result<bool> {
        if (stamp > before) next.push_back(number), last = stamp;
        return next.size() < history_steps_at_once;
      }));
    }
    LibraryState state = *state_;
    const auto out = TRY(context_.derived.write());
    Writing writing(*this, *out);
    const std::vector<store::HistoryStep> steps = TRY(apply_steps(*out, *history_folder_, next));
    state.in_history += steps.size();
    if (next.empty()) state.history_dirty.reset();
    TRY(rows_.put_state(*out, state));
    TRY(out->commit());
    writing.committed();
    state_ = std::move(state);
    forget_some();
    if (next.empty()) return {};
    TRY(history_->extend(steps));
  }
}

Result<void> Library::Body::update_history() {
  TRY(open_history());
  const auto dirty = state_->history_dirty;
  if (!dirty) return {};
  const std::uint64_t stands = TRY(history_->count_below(dirty->hlc, dirty->record));
  if (stands < history_->size()) TRY(rewind_history(stands));
  return extend_history();
}

Result<store::History*> Library::history() {
  TRY(readable());
  Result<void> done = body_->update_history();
  if (!done && done.error().fault == Fault::corrupt && body_->state_->in_history != in_history_unknown) {
    // Its folder is damaged, or does not fit the commits: both are made anew.
    body_->state_->in_history = in_history_unknown;
    body_->was_damaged_ = true;
    done = body_->update_history();
  }
  if (!done) return std::unexpected(std::move(done.error()));
  return &*body_->history_;
}

}  // namespace dozo::node

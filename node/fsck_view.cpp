// Fsck of records and folder: the rows that are stored, held against those made anew.
#include <algorithm>

#include "node/fsck_body.h"
#include "node/library_rows.h"

namespace dozo::node {
namespace {

constexpr std::size_t entries_at_once = 4096;

/// Records by the numbers that the stored rows give them, read by way of the library that was made anew.
class StoredRecords final : public store::RecordSource {
 public:
  StoredRecords(store::Kv& stored, const LibraryRows& rows, const Library& anew) : stored_(stored), rows_(rows), anew_(anew) {}
  Result<std::shared_ptr<const store::StoredRecord>> record(RecordNumber number) override {
    if (last_ && last_number_ == number) return last_;
    const auto in = TRY(stored_.read());
    const auto row = TRY(rows_.record(*in, number));
    if (!row) return fail(Fault::corrupt, "a row of a record is missing");
    auto found = anew_.record(row->id);
    if (!found && found.error().fault == Fault::not_found) return fail(Fault::corrupt, "a row of a record that no entry carries");
    if (found) last_ = *found, last_number_ = number;
    return found;
  }

 private:
  store::Kv& stored_;
  const LibraryRows& rows_;
  const Library& anew_;
  std::shared_ptr<const store::StoredRecord> last_;
  RecordNumber last_number_;
};

using Entries = std::vector<std::pair<std::string, store::Shown>>;

Result<Entries> some_entries(const store::Folder& folder, const std::string& after) {
  Entries out;
  TRY(folder.walk("", after, [&](const std::string& path, const store::Shown& shown) {
    out.emplace_back(path, shown);
    return out.size() < entries_at_once;
  }));
  return out;
}

/// Keys are the same in both, but for those that have a record's number in them: of these there are as many. So are the documents that want a name.
Result<void> same_keys(store::Kv& stored, store::Kv& anew, ByteView space) {
  const auto a_in = TRY(stored.read()), b_in = TRY(anew.read());
  const auto a = TRY(a_in->cursor(view_table)), b = TRY(b_in->cursor(view_table));
  std::map<std::uint8_t, std::int64_t> numbered;
  const auto next = [&](store::Cursor& rows, bool first, std::int64_t step) -> Result<bool> {
    for (bool found = TRY(first ? rows.seek(space) : rows.next()); found; found = TRY(rows.next())) {
      if (rows.key().size() <= space.size() || !equal(rows.key().first(space.size()), space)) return false;
      const std::uint8_t kind = rows.key()[space.size()];
      if (kind != 'r' && kind != 'a' && kind != 'x') return true;
      numbered[kind] += step;
    }
    return false;
  };
  bool in_a = TRY(next(*a, true, 1)), in_b = TRY(next(*b, true, -1));
  while (in_a && in_b) {
    if (!equal(a->key(), b->key())) return fail(Fault::corrupt, "a row is missing, or there is one too many");
    const std::uint8_t kind = a->key()[space.size()];
    if (kind == 'n' && !equal(a->value(), b->value())) return fail(Fault::corrupt, "other documents want a name");
    constexpr std::size_t number_bytes = 4;  // of the record, which is this store's own; the entry's hash follows
    const auto rest = [&](ByteView value) { return value.subspan(std::min(value.size(), number_bytes)); };
    if (kind == 'e' && !equal(rest(a->value()), rest(b->value()))) return fail(Fault::corrupt, "an entry is another one");
    in_a = TRY(next(*a, false, 1));
    in_b = TRY(next(*b, false, -1));
  }
  const bool as_many = std::ranges::all_of(numbered, [](const auto& it) { return it.second == 0; });
  if (in_a || in_b || !as_many) return fail(Fault::corrupt, "rows are missing, or there are some too many");
  return {};
}

/// The folder in these rows, held against the one made anew: rows, counts, conflicts, and what stands at each path.
Result<void> same_folder(store::Kv& stored, store::Kv& anew, const Bytes& space, const crypto::LocalKey& key, const LibraryRows& rows, const Library& library) {
  TRY(same_keys(stored, anew, space));
  StoredRecords have_records(stored, rows, library), want_records(anew, rows, library);
  const store::NameRule rule = TRY(library.readable())->rule();
  const store::Folder have({stored, view_table, space, key}, rule, have_records), want({anew, view_table, space, key}, rule, want_records);
  if (TRY(have.counts()) != TRY(want.counts()) || TRY(have.conflicts()) != TRY(want.conflicts()))
    return fail(Fault::corrupt, "its counts or conflicts are others");
  TRY(have.check_versions());
  std::string after;
  for (bool more = true; more;) {
    const Entries some = TRY(some_entries(have, after)), wanted = TRY(some_entries(want, after));
    if (some != wanted) return fail(Fault::corrupt, "it shows something else");
    more = wanted.size() == entries_at_once;
    if (more) after = wanted.back().first;
  }
  return {};
}

}  // namespace

Result<void> Fsck::check_view(store::Kv& stored, Library& anew) {
  const std::string name = "library " + short_text(anew.id()) + ": ";
  const LibraryRows rows(keys_->local, anew.id());
  const auto look = [&]() -> Result<bool> {
    const auto in = TRY(stored.read());
    const auto state = TRY(rows.state(*in));
    // What came last may not be derived yet; and after another policy all is judged anew.
    const auto of_anew = TRY(anew.derived_state());
    if (!state || state->entries != of_anew.entries || state->judged_by != of_anew.judged_by) return false;
    const auto refused = TRY(anew.refused());
    std::uint64_t count = 0;
    bool waits = false;  // for a time that may have come meanwhile
    TRY(rows.each_record(*in, {0}, [&](RecordNumber number, const RecordRow& row) -> Result<bool> {
      const auto why = refused.find(row.id);
      const auto anew_refusal = why == refused.end() ? std::nullopt : std::optional(why->second);
      waits = waits || row.refusal == store::Refusal::ahead_of_clock || anew_refusal == store::Refusal::ahead_of_clock;
      if (!waits && row.refusal != anew_refusal) return fail(Fault::corrupt, "a record is judged otherwise");
      const auto leads = TRY(rows.number_of(*in, row.id));
      if (leads != number) return fail(Fault::corrupt, "a record is not found by its id");
      for (const Carrier& carrier : row.carriers) {
        const auto entry = TRY(rows.entry(*in, carrier.branch, carrier.sequence));
        if (!entry || entry->record != number) return fail(Fault::corrupt, "an entry leads to another record");
      }
      ++count;
      return true;
    }));
    if (waits) return false;
    if (count != of_anew.records) return fail(Fault::corrupt, "rows of records are missing");
    TRY(same_folder(stored, *scratch_, rows.space(), keys_->local, rows, anew));
    return true;
  };
  const Result<bool> sound = look();
  if (sound && !*sound) note(FsckKind::index, name + "not all that is held is in the folder yet; dozod does it at its next start");
  if (sound) return {};
  if (sound.error().fault == Fault::unavailable) return std::unexpected(sound.error());
  damage_that(FsckState::mended, FsckKind::index, name + "the folder as it is stored: " + sound.error().text);
  return {};
}

/// The folder as the last commit of the history shows it. Needs the history made anew.
Result<void> Fsck::check_history_view(store::Kv& stored, Library& anew) {
  const LibraryRows rows(keys_->local, anew.id());
  const auto look = [&]() -> Result<void> {
    std::optional<LibraryState> have, want;
    {
      const auto in = TRY(stored.read()), scratch = TRY(scratch_->read());
      have = TRY(rows.state(*in));
      want = TRY(rows.state(*scratch));
    }
    // What is not up to date is brought up, or made anew, when somebody asks for the history.
    if (!have || !want || have->history_dirty || have->in_history != want->in_history) return {};
    return same_folder(stored, *scratch_, rows.history_space(), keys_->local, rows, anew);
  };
  Result<void> sound = look();
  if (sound || sound.error().fault == Fault::unavailable) return sound;
  damage_that(FsckState::mended, FsckKind::history, "library " + short_text(anew.id()) + ": the folder of its history: " + sound.error().text);
  return {};
}

}  // namespace dozo::node

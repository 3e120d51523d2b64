#include "node/library_rows.h"

#include <algorithm>

#include "base/archive.h"
#include "crypto/hash.h"
#include "node/piece_index.h"

namespace dozo::store {
constexpr Refusal wire_last(Refusal) { return Refusal::wrong_time; }
template <class A>
void serialize(A& archive, Branch& it) {
  archive(it.feed, it.fork);
}
template <class A>
void serialize(A& archive, Stamp& it) {
  archive(it.hlc, it.record);
}
}  // namespace dozo::store

namespace dozo::node {

template <class A>
void serialize(A& archive, Carrier& it) {
  archive(it.branch, it.sequence, it.policy, it.highest_before, it.authentic, it.time_ms, it.latest_before_ms, it.refusal);
}
template <class A>
void serialize(A& archive, RecordRow& it) {
  archive(it.id, it.hlc, it.device, it.person, archive::capped<store::role_bytes_most>(it.role), it.well_formed, archive::capped<1U << 24>(it.carriers),
          it.refusal);
}
template <class A>
void serialize(A& archive, LibraryState& it) {
  archive(it.portable_names, it.last, it.entries, it.judged_by, it.in_history, it.history_dirty);
}

namespace {

constexpr std::size_t space_bytes = 8, line_bytes = 12, id_bytes = 12, row_bytes_most = 1U << 30;

template <class T>
Result<T> opened(const crypto::LocalKey& key, ByteView sealed, ByteView name) {
  auto out = archive::decode<T>(TRY(key.open(sealed, name)), row_bytes_most, "a row of the derived store");
  if (!out) return fail(Fault::corrupt, out.error().text);
  return out;
}

Error damaged() { return {Fault::corrupt, "a row of the derived store is damaged: run dozo fsck --rebuild"}; }

}  // namespace

LibraryRows::LibraryRows(const crypto::LocalKey& key, const LibraryId& library)
    : key_(key),
      space_(bytes_of(key.keyed("view", library.view()).view().first(space_bytes))),
      history_space_(bytes_of(key.keyed("history view", library.view()).view().first(space_bytes))) {}

// ---- keys ----------------------------------------------------------------------------------------------------------------
Bytes LibraryRows::key(char kind, ByteView rest) const {
  Bytes out = space_;
  out.push_back(static_cast<std::uint8_t>(kind));
  append(out, rest);
  return out;
}

Bytes LibraryRows::number_bytes(RecordNumber number) {
  Bytes out(4);
  for (std::size_t i = 0; i < 4; ++i) out[i] = static_cast<std::uint8_t>(number.value >> (24 - 8 * i));
  return out;
}

namespace {

RecordNumber number_at(ByteView bytes) {
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < 4; ++i) out = out << 8 | bytes[i];
  return {out};
}

}  // namespace

Bytes LibraryRows::line(const store::Branch& branch) const {
  Bytes what = bytes_of(branch.feed.library.view());
  append(what, branch.feed.node.view());
  append(what, branch.feed.incarnation.view());
  append(what, branch.fork.view());
  return bytes_of(key_.keyed("line", what).view().first(line_bytes));
}

// ---- reading -------------------------------------------------------------------------------------------------------------
Result<std::optional<LibraryState>> LibraryRows::state(store::ReadTransaction& in) const {
  const Bytes name = key('l');
  const auto found = TRY(in.get(view_table, name));
  if (!found) return std::optional<LibraryState>{};
  return std::optional(TRY(opened<LibraryState>(key_, *found, name)));
}

Result<std::optional<RecordRow>> LibraryRows::record(store::ReadTransaction& in, RecordNumber number) const {
  const Bytes name = key('r', number_bytes(number));
  const auto found = TRY(in.get(view_table, name));
  if (!found) return std::optional<RecordRow>{};
  return std::optional(TRY(opened<RecordRow>(key_, *found, name)));
}

Result<std::optional<RecordNumber>> LibraryRows::number_of(store::ReadTransaction& in, const RecordId& id) const {
  const auto found = TRY(in.get(view_table, key('i', key_.keyed("record", id.view()).view().first(id_bytes))));
  if (!found) return std::optional<RecordNumber>{};
  if (found->size() != 4) return std::unexpected(damaged());
  return std::optional(number_at(*found));
}

Result<void> LibraryRows::each_record(store::ReadTransaction& in, RecordNumber after, const std::function<Result<bool>(RecordNumber, RecordRow)>& take) const {
  const Bytes first = key('r', number_bytes({after.value + 1}));
  const auto rows = TRY(in.cursor(view_table));
  for (bool found = TRY(rows->seek(first)); found; found = TRY(rows->next())) {
    if (rows->key().size() != first.size() || !equal(rows->key().first(space_bytes + 1), ByteView(first).first(space_bytes + 1))) break;
    const RecordNumber number = number_at(rows->key().subspan(space_bytes + 1));
    if (!TRY(take(number, TRY(opened<RecordRow>(key_, rows->value(), rows->key()))))) break;
  }
  return {};
}

Result<void> LibraryRows::each_accepted(store::ReadTransaction& in, std::uint64_t from_hlc,
                                        const std::function<Result<bool>(RecordNumber, const store::Stamp&)>& take) const {
  Bytes first = key('a', Bytes(8 + 4));
  put_u64(first.data() + space_bytes + 1, from_hlc);
  std::vector<std::pair<store::Stamp, RecordNumber>> at_once;  // of one time: their order is that of their ids
  const auto flush = [&]() -> Result<bool> {
    std::ranges::sort(at_once);
    for (const auto& [stamp, number] : at_once) {
      if (!TRY(take(number, stamp))) return false;
    }
    at_once.clear();
    return true;
  };
  const auto rows = TRY(in.cursor(view_table));
  for (bool found = TRY(rows->seek(first)); found; found = TRY(rows->next())) {
    if (rows->key().size() != first.size() || !equal(rows->key().first(space_bytes + 1), ByteView(first).first(space_bytes + 1))) break;
    const std::uint64_t hlc = get_u64(rows->key().data() + space_bytes + 1);
    const RecordNumber number = number_at(rows->key().subspan(space_bytes + 1 + 8));
    const auto row = TRY(record(in, number));
    if (!row || row->hlc != hlc) return std::unexpected(damaged());
    if (!at_once.empty() && at_once.front().first.hlc != hlc && !TRY(flush())) return {};
    at_once.emplace_back(row->stamp(), number);
  }
  TRY(flush());
  return {};
}

Result<std::uint64_t> LibraryRows::last_hlc(store::ReadTransaction& in) const {
  const Bytes beyond = key(static_cast<char>('a' + 1));
  const auto rows = TRY(in.cursor(view_table));
  if (!TRY(rows->seek_last_below(beyond))) return std::uint64_t{0};
  const ByteView name = rows->key();
  if (name.size() != space_bytes + 1 + 8 + 4 || !equal(name.first(space_bytes), space_) || name[space_bytes] != 'a') return std::uint64_t{0};
  return get_u64(name.data() + space_bytes + 1);
}

Result<std::vector<RecordNumber>> LibraryRows::not_counting(store::ReadTransaction& in) const {
  std::vector<RecordNumber> out;
  const Bytes prefix = key('x');
  const auto rows = TRY(in.cursor(view_table));
  for (bool found = TRY(rows->seek(prefix)); found; found = TRY(rows->next())) {
    if (rows->key().size() != prefix.size() + 4 || !equal(rows->key().first(prefix.size()), prefix)) break;
    out.push_back(number_at(rows->key().subspan(prefix.size())));
  }
  return out;
}

namespace {

Bytes with_sequence(Bytes line, Sequence sequence) {
  line.resize(line.size() + 8);
  put_u64(line.data() + line.size() - 8, sequence.value);
  return line;
}

}  // namespace

Result<std::optional<EntryRow>> LibraryRows::entry(store::ReadTransaction& in, const store::Branch& branch, Sequence sequence) const {
  const auto found = TRY(in.get(view_table, key('e', with_sequence(line(branch), sequence))));
  if (!found) return std::optional<EntryRow>{};
  if (found->size() != 12) return std::unexpected(damaged());
  EntryRow out{number_at(*found), {}};
  std::copy_n(found->begin() + 4, out.hash.bytes.size(), out.hash.bytes.begin());
  return std::optional(out);
}

EntryRow LibraryRows::entry_row(RecordNumber record, ByteView entry) {
  EntryRow out{record, {}};
  const Digest hash = crypto::sha256(entry);
  std::copy_n(hash.bytes.begin(), out.hash.bytes.size(), out.hash.bytes.begin());
  return out;
}

// ---- writing -------------------------------------------------------------------------------------------------------------
Result<void> LibraryRows::put_state(store::WriteTransaction& out, const LibraryState& state) const {
  const Bytes name = key('l');
  return out.put(view_table, name, key_.seal(archive::encode(state), name));
}

Result<void> LibraryRows::erase_state(store::WriteTransaction& out) const {
  TRY(out.erase(view_table, key('l')));
  return {};
}

Result<void> LibraryRows::put_record(store::WriteTransaction& out, RecordNumber number, const RecordRow& row, const std::optional<RecordRow>& before) const {
  const Bytes number_in = number_bytes(number), name = key('r', number_in);
  TRY(out.put(view_table, name, key_.seal(archive::encode(row), name)));
  if (!before) TRY(out.put(view_table, key('i', key_.keyed("record", row.id.view()).view().first(id_bytes)), number_in));
  const bool was = before && !before->refusal;
  if (was != !row.refusal) {
    Bytes time(8);
    put_u64(time.data(), row.hlc);
    append(time, number_in);
    if (row.refusal) {
      TRY(out.erase(view_table, key('a', time)));
    } else {
      TRY(out.put(view_table, key('a', time), {}));
    }
  }
  const auto is_out = [](const RecordRow& it) { return std::ranges::any_of(it.carriers, [](const Carrier& carrier) { return carrier.refusal.has_value(); }); };
  if (is_out(row)) {
    TRY(out.put(view_table, key('x', number_in), {}));
  } else if (before && is_out(*before)) {
    TRY(out.erase(view_table, key('x', number_in)));
  }
  return {};
}

Result<void> LibraryRows::put_entry(store::WriteTransaction& out, const store::Branch& branch, Sequence sequence, const EntryRow& row) const {
  Bytes value = number_bytes(row.record);
  append(value, row.hash.view());
  return out.put(view_table, key('e', with_sequence(line(branch), sequence)), value);
}

Result<bool> LibraryRows::erase_some(store::WriteTransaction& out, ByteView space) {
  constexpr std::size_t rows_most = 4000;
  std::vector<Bytes> names;
  {
    const auto rows = TRY(out.cursor(view_table));
    for (bool found = TRY(rows->seek(space)); found && names.size() < rows_most; found = TRY(rows->next())) {
      if (rows->key().size() < space.size() || !equal(rows->key().first(space.size()), space)) break;
      names.push_back(bytes_of(rows->key()));
    }
  }
  for (const Bytes& name : names) TRY(out.erase(view_table, name));
  return names.size() == rows_most;
}

}  // namespace dozo::node

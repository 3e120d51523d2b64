#include "store/view.h"

#include <algorithm>
#include <map>

#include "crypto/local_seal.h"
#include "store/names.h"

// Rows, all keys after the space:
//   'd' document            made bits (1), then for each live version and maker: register (1), version (12), record (4), operation (2)
//   'v' document register version    of a dead version: for each maker record (4), operation (2)
// A document stands there by the last half of its id, then the first: those that were made together have the last in common, and a save of many
// writes few pages.
// What no record says again, the made bits, is also there turned over, in the upper half of the byte.
namespace dozo::store {
namespace {

constexpr std::size_t place_bytes = 6, version_bytes = 12, live_bytes = 1 + version_bytes + place_bytes;

bool is_older(const Version* a, const Version* b) { return std::tie(a->stamp, a->id) < std::tie(b->stamp, b->id); }
bool is_before(const Version* a, const Version* b) { return a->rank() != b->rank() ? a->rank() > b->rank() : is_older(a, b); }

std::uint8_t doubled(std::uint8_t value) { return static_cast<std::uint8_t>(value | (~value & 0xf) << 4); }
bool is_doubled(std::uint8_t byte) { return byte == doubled(byte & 0xf); }

Error damaged() { return {Fault::corrupt, "a row of the view is damaged: run dozo fsck --rebuild"}; }
std::size_t number_of(Register reg) { return static_cast<std::size_t>(reg); }

}  // namespace

StoredRecord::StoredRecord(const RecordId& its_id, Record its_record)
    : id(its_id), record(std::move(its_record)), text(clean(record.who) + time_text(record.hlc)) {
  for (const Op& op : record.ops) versions.push_back(version_id(op));
}

// ---- registers -----------------------------------------------------------------------------------------------------------
std::vector<VersionId> Registers::live_ids(Register reg) const {
  std::vector<VersionId> out;
  for (const Version& version : live(reg)) out.push_back(version.id);
  std::ranges::sort(out);
  return out;
}

std::vector<Registers::Group> Registers::groups(Register reg) const {
  std::vector<Group> out;
  std::map<Value, std::size_t> place;
  for (const Version& version : live(reg)) {
    if (is_deleted(version.op.value)) continue;
    const auto [it, is_new] = place.try_emplace(version.op.value, out.size());
    if (is_new) out.emplace_back();
    out[it->second].push_back(&version);
  }
  return out;
}

bool Registers::is_deleted_live(Register reg) const {
  return std::ranges::any_of(live(reg), [](const Version& version) { return is_deleted(version.op.value); });
}

std::uint32_t Registers::label() const {
  std::uint32_t highest = 0;
  for (const Version& version : live(Register::label)) {
    if (const auto* label = std::get_if<Label>(&version.op.value)) highest = std::max(highest, label->number);
  }
  return highest;
}

// ---- rows ----------------------------------------------------------------------------------------------------------------
namespace {

constexpr std::size_t half = DocumentId::size / 2;

void append_turned(Bytes& to, const DocumentId& document) {
  append(to, document.view().subspan(half));
  append(to, document.view().first(half));
}
DocumentId turned_back(ByteView bytes) {
  DocumentId out;
  std::ranges::copy(bytes.subspan(half), out.bytes.begin());
  std::ranges::copy(bytes.first(half), out.bytes.begin() + half);
  return out;
}

}  // namespace

Bytes View::key(const DocumentId& document) const {
  Bytes out = space_;
  out.push_back('d');
  append_turned(out, document);
  return out;
}

View::VersionKey View::key_of(const VersionId& id) const {
  static_assert(VersionKey::size == version_bytes);
  return *VersionKey::from(key_.keyed("version", id.view()).view().first(version_bytes));
}

Bytes View::key(const DocumentId& document, Register reg, const VersionKey& version) const {
  Bytes out = space_;
  out.push_back('v');
  append_turned(out, document);
  out.push_back(static_cast<std::uint8_t>(reg));
  append(out, version.view());
  return out;
}

namespace {

void put(Bytes& to, std::uint32_t record, std::uint16_t op) {
  const std::size_t at = to.size();
  to.resize(at + place_bytes);
  for (std::size_t i = 0; i < 4; ++i) to[at + i] = static_cast<std::uint8_t>(record >> (24 - 8 * i));
  to[at + 4] = static_cast<std::uint8_t>(op >> 8);
  to[at + 5] = static_cast<std::uint8_t>(op);
}

std::pair<std::uint32_t, std::uint16_t> place_at(const std::uint8_t* from) {
  std::uint32_t record = 0;
  for (std::size_t i = 0; i < 4; ++i) record = record << 8 | from[i];
  return {record, static_cast<std::uint16_t>(from[4] << 8 | from[5])};
}

}  // namespace

Bytes View::encode(const Row& row) {
  Bytes out{doubled(row.made)};
  for (const Live& live : row.live) {
    for (const Place& place : live.makers) {
      out.push_back(static_cast<std::uint8_t>(live.reg));
      append(out, live.version.view());
      put(out, place.record.value, place.op);
    }
  }
  return out;
}

Bytes View::encode(const Dead& dead) {
  Bytes out;
  for (const Place& place : dead.makers) put(out, place.record.value, place.op);
  return out;
}

Result<View::Row> View::decode_row(ByteView bytes) {
  if (bytes.size() % live_bytes != 1 || !is_doubled(bytes.front())) return std::unexpected(damaged());
  Row out{static_cast<std::uint8_t>(bytes.front() & 0xf), {}};
  for (bytes = bytes.subspan(1); !bytes.empty(); bytes = bytes.subspan(live_bytes)) {
    if (bytes.front() >= register_count) return std::unexpected(damaged());
    const auto reg = static_cast<Register>(bytes.front());
    const VersionKey version = *VersionKey::from(bytes.subspan(1, version_bytes));
    const auto [record, op] = place_at(bytes.data() + 1 + version_bytes);
    if (out.live.empty() || out.live.back().version != version || out.live.back().reg != reg) out.live.push_back({reg, version, {}});
    out.live.back().makers.push_back({{record}, op});
  }
  return out;
}

Result<View::Dead> View::decode_dead(ByteView bytes) {
  if (bytes.size() % place_bytes != 0) return std::unexpected(damaged());
  Dead out;
  for (; !bytes.empty(); bytes = bytes.subspan(place_bytes)) {
    const auto [record, op] = place_at(bytes.data());
    out.makers.push_back({{record}, op});
  }
  return out;
}

Result<View::Row> View::row(ReadTransaction& in, const DocumentId& document) const {
  const auto found = TRY(in.get(table_, key(document)));
  if (!found) return Row{};
  return decode_row(*found);
}

Result<std::optional<View::Dead>> View::dead(ReadTransaction& in, const DocumentId& document, Register reg, const VersionKey& version) const {
  const auto found = TRY(in.get(table_, key(document, reg, version)));
  if (!found) return std::optional<Dead>{};
  return std::optional<Dead>(TRY(decode_dead(*found)));
}

Result<void> View::each_dead(ReadTransaction& in, const DocumentId& document, const EachDead& take) const {
  const Bytes first = key(document, Register{}, VersionKey{});
  const std::size_t common = first.size() - version_bytes - 1;
  const auto rows = TRY(in.cursor(table_));
  for (bool found = TRY(rows->seek(first)); found; found = TRY(rows->next())) {
    if (rows->key().size() != first.size() || !equal(rows->key().first(common), ByteView(first).first(common))) break;
    if (rows->key()[common] >= register_count) return std::unexpected(damaged());
    TRY(take(static_cast<Register>(rows->key()[common]), *VersionKey::from(rows->key().subspan(common + 1)), TRY(decode_dead(rows->value()))));
  }
  return {};
}

// ---- taking in -----------------------------------------------------------------------------------------------------------
/// The smallest-stamped stands first; the order of the others means nothing.
Result<void> View::add_maker(std::vector<Place>& makers, const Place& place, const Stamp& stamp) const {
  // A record that makes it twice makes it by its first operation.
  if (std::ranges::any_of(makers, [&](const Place& it) { return it.record == place.record; })) return {};
  const bool first = makers.empty() || stamp < TRY(source_.record(makers.front().record))->stamp();
  makers.insert(first ? makers.begin() : makers.end(), place);
  return {};
}

Result<std::set<DocumentId>> View::apply(WriteTransaction& out, RecordNumber number, const StoredRecord& record, const DocumentId* only) {
  std::map<DocumentId, Row> rows;
  std::set<DocumentId> documents;
  for (std::size_t i = 0; i < record.record.ops.size(); ++i) {
    const Op& op = record.record.ops[i];
    if (only != nullptr && op.document != *only) continue;
    auto at = rows.find(op.document);
    if (at == rows.end()) at = rows.emplace(op.document, TRY(row(out, op.document))).first;
    Row& row = at->second;
    documents.insert(op.document);
    for (const VersionId& id : op.replaces) {
      const VersionKey replaced = key_of(id);
      const auto was = std::ranges::find_if(row.live, [&](const Live& live) { return live.reg == op.reg && live.version == replaced; });
      if (was != row.live.end()) {
        TRY(out.put(table_, key(op.document, op.reg, replaced), encode(Dead{was->makers})));
        row.live.erase(was);
      } else if (!TRY(out.get(table_, key(op.document, op.reg, replaced)))) {
        TRY(out.put(table_, key(op.document, op.reg, replaced), {}));
      }
    }
    const VersionKey made = key_of(record.versions[i]);
    const Place place{number, static_cast<std::uint16_t>(i)};
    row.made = static_cast<std::uint8_t>(row.made | 1U << number_of(op.reg));
    if (auto dead = TRY(this->dead(out, op.document, op.reg, made))) {
      TRY(add_maker(dead->makers, place, record.stamp()));
      TRY(out.put(table_, key(op.document, op.reg, made), encode(*dead)));
      continue;
    }
    auto live = std::ranges::find_if(row.live, [&](const Live& it) { return it.reg == op.reg && it.version == made; });
    if (live == row.live.end()) live = row.live.insert(live, Live{op.reg, made, {}});
    TRY(add_maker(live->makers, place, record.stamp()));
  }
  for (const auto& [document, row] : rows) TRY(out.put(table_, key(document), encode(row)));
  return documents;
}

Result<std::set<RecordNumber>> View::makers(ReadTransaction& in, const DocumentId& document) const {
  std::set<RecordNumber> out;
  for (const Live& live : TRY(row(in, document)).live) {
    for (const Place& place : live.makers) out.insert(place.record);
  }
  TRY(each_dead(in, document, [&](Register, const VersionKey&, const Dead& dead) -> Result<void> {
    for (const Place& place : dead.makers) out.insert(place.record);
    return {};
  }));
  return out;
}

Result<void> View::forget(WriteTransaction& out, const DocumentId& document) {
  std::vector<std::pair<Register, VersionKey>> all;
  TRY(each_dead(out, document, [&](Register reg, const VersionKey& version, const Dead&) -> Result<void> {
    all.emplace_back(reg, version);
    return {};
  }));
  for (const auto& [reg, version] : all) TRY(out.erase(table_, key(document, reg, version)));
  TRY(out.erase(table_, key(document)));
  return {};
}

// ---- reading -------------------------------------------------------------------------------------------------------------
Result<Version> View::version(const DocumentId& document, Register reg, const VersionKey& version, const Place& place) const {
  const auto record = TRY(source_.record(place.record));
  if (place.op >= record->record.ops.size()) return std::unexpected(damaged());
  const Op& op = record->record.ops[place.op];
  const VersionId& id = record->versions[place.op];
  if (op.document != document || op.reg != reg || key_of(id) != version) return std::unexpected(damaged());
  return Version{op, id, record->stamp(), record->text};
}

Result<Registers> View::load(ReadTransaction& in, const DocumentId& document) const {
  Registers out;
  out.document = document;
  const Row row = TRY(this->row(in, document));
  for (std::size_t i = 0; i < register_count; ++i) out.made[i] = (row.made >> i & 1U) != 0;
  for (const Live& live : row.live) {
    if (live.makers.empty()) return std::unexpected(damaged());
    out.versions[number_of(live.reg)].push_back(TRY(version(document, live.reg, live.version, live.makers.front())));
  }
  for (auto& versions : out.versions) std::ranges::sort(versions, [](const Version& a, const Version& b) { return is_before(&a, &b); });
  const auto paths = out.groups(Register::path), contents = out.groups(Register::content);
  if (paths.empty() && !contents.empty()) out.last[number_of(Register::path)] = TRY(last(in, document, Register::path, out));
  if (contents.empty() && !paths.empty()) out.last[number_of(Register::content)] = TRY(last(in, document, Register::content, out));
  if (!paths.empty()) {
    out.age = TRY(age(in, *paths.front().front()));
  } else if (const auto& path = out.last[number_of(Register::path)]) {
    out.age = TRY(age(in, *path));
  }
  return out;
}

Result<std::optional<Version>> View::last(ReadTransaction& in, const DocumentId& document, Register reg, const Registers& known) const {
  std::optional<Version> undone, newest;
  const auto consider = [&](const VersionKey& version, const Dead& dead) -> Result<std::optional<Version>> {
    if (dead.makers.empty()) return std::optional<Version>{};
    Version found = TRY(this->version(document, reg, version, dead.makers.front()));
    return is_deleted(found.op.value) ? std::nullopt : std::optional(std::move(found));
  };
  for (const Version& live : known.live(reg)) {
    if (!is_deleted(live.op.value)) continue;
    for (const VersionId& id : live.op.replaces) {
      const VersionKey replaced = key_of(id);
      const auto dead = TRY(this->dead(in, document, reg, replaced));
      auto found = dead ? TRY(consider(replaced, *dead)) : std::nullopt;
      if (found && (!undone || is_before(&*found, &*undone))) undone = std::move(found);
    }
  }
  if (undone) return undone;
  TRY(each_dead(in, document, [&](Register of, const VersionKey& version, const Dead& dead) -> Result<void> {
    if (of != reg) return {};
    auto found = TRY(consider(version, dead));
    if (found && (!newest || is_older(&*newest, &*found))) newest = std::move(found);
    return {};
  }));
  return newest;
}

Result<Stamp> View::age(ReadTransaction& in, const Version& path) const {
  Stamp oldest = path.stamp;
  std::set<VersionId> seen{path.id};
  std::vector<VersionId> todo = path.op.replaces;
  while (!todo.empty()) {
    const VersionId id = todo.back();
    todo.pop_back();
    if (!seen.insert(id).second) continue;
    const VersionKey replaced = key_of(id);
    const auto dead = TRY(this->dead(in, path.op.document, Register::path, replaced));
    if (!dead || dead->makers.empty()) continue;
    const Version found = TRY(version(path.op.document, Register::path, replaced, dead->makers.front()));
    if (found.op.value != path.op.value) continue;
    oldest = std::min(oldest, found.stamp);
    todo.insert(todo.end(), found.op.replaces.begin(), found.op.replaces.end());
  }
  return oldest;
}

Result<bool> View::is_replaced(ReadTransaction& in, const DocumentId& document, Register reg, const VersionId& id) const {
  return TRY(in.get(table_, key(document, reg, key_of(id)))).has_value();
}

Result<void> View::check(ReadTransaction& in) const {
  return each(in, [&](const DocumentId& document) -> Result<bool> {
    for (const Live& live : TRY(row(in, document)).live) {
      for (const Place& place : live.makers) TRY(version(document, live.reg, live.version, place));
    }
    TRY(each_dead(in, document, [&](Register reg, const VersionKey& version, const Dead& dead) -> Result<void> {
      for (const Place& place : dead.makers) TRY(this->version(document, reg, version, place));
      return {};
    }));
    return true;
  });
}

Result<void> View::each(ReadTransaction& in, const std::function<Result<bool>(const DocumentId&)>& take) const {
  const Bytes first = key(DocumentId{});
  const std::size_t common = first.size() - DocumentId::size;
  const auto rows = TRY(in.cursor(table_));
  for (bool found = TRY(rows->seek(first)); found; found = TRY(rows->next())) {
    if (rows->key().size() != first.size() || !equal(rows->key().first(common), ByteView(first).first(common))) break;
    if (!TRY(take(turned_back(rows->key().subspan(common))))) break;
  }
  return {};
}

}  // namespace dozo::store

#include "store/kv_memory.h"

#include <algorithm>
#include <utility>

#include "base/invariant.h"

// A write transaction keeps its changes in an overlay that is merged into the disk at commit. A reader looks at the disk itself; a commit puts the
// values that it replaces into the overlay of each reader that is open, so that these go on seeing what they saw. One way of looking up
// (overlay, then disk) serves both.
namespace dozo::store {
namespace {

using Overlay = std::map<Bytes, std::optional<Bytes>, std::less<>>;
using Lent = std::vector<std::unique_ptr<Bytes>>;
constexpr std::uint64_t row_overhead_bytes = 16;  // about what LMDB needs beside key and value
constexpr std::uint8_t spoilt = 0xdd;

bool less(ByteView a, ByteView b) { return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end()); }
std::uint64_t size_of(const Bytes& key, const Bytes& value) { return key.size() + value.size() + row_overhead_bytes; }

}  // namespace

struct MemoryKv::State {
  MemoryDisk* disk{};
  InjectHook hook;
  bool crashed = false;
  std::uint64_t calls = 0;
  std::uint64_t commits = 0;
  MemoryTransaction* writer = nullptr;
  std::vector<MemoryTransaction*> readers;
  Lent graves;  // of the transaction that ended last

  Result<Injected> allow(std::string_view operation) {
    if (crashed) return fail(Fault::unavailable, "crashed");
    ++calls;
    const Injected what = hook ? hook(operation) : Injected::none;
    if (what == Injected::fail) return fail(Fault::unavailable, "injected fault at " + std::string(operation));
    if (what == Injected::damage) return fail(Fault::corrupt, "injected damage at " + std::string(operation));
    if (what == Injected::crash || (what == Injected::crash_after && operation != "commit")) {
      crashed = true;
      return fail(Fault::unavailable, "crashed at " + std::string(operation));
    }
    return what;
  }
};

class MemoryTransaction final : public WriteTransaction {
 public:
  MemoryTransaction(std::shared_ptr<MemoryKv::State> state, bool writes)
      : state_(std::move(state)), writes_(writes), began_(state_->commits), overlays_(state_->disk->tables.size()) {
    for (const MemoryDisk::Rows& rows : state_->disk->tables) counts_.push_back(rows.size());
    if (writes_) {
      INVARIANT(state_->writer == nullptr);
      state_->writer = this;
    } else {
      state_->readers.push_back(this);
    }
  }
  ~MemoryTransaction() override { end(); }

  Result<std::optional<ByteView>> get(Table table, ByteView key) override {
    TRY(enter("get"));
    TRY(kept(check_key(key)));
    const Bytes* found = find(table, bytes_of(key));
    if (found == nullptr) return std::optional<ByteView>{};
    return std::optional<ByteView>{lend(*found)};
  }
  Result<std::unique_ptr<Cursor>> cursor(Table table) override;
  Result<std::uint64_t> count(Table table) override {
    TRY(enter("count"));
    return counts_[checked(table)];
  }
  Result<void> put(Table table, ByteView key, ByteView value) override {
    TRY(enter("put"));
    return set(table, key, bytes_of(value), value);
  }
  Result<ByteSpan> reserve(Table table, ByteView key, std::size_t size) override {
    TRY(enter("reserve"));
    TRY(set(table, key, Bytes(size, spoilt), {}));
    reserved_ = &*overlays_[table.number].find(bytes_of(key))->second;
    room_ = *reserved_;
    return ByteSpan(room_);
  }
  Result<bool> erase(Table table, ByteView key) override {
    TRY(enter("erase"));
    INVARIANT(writes_);
    TRY(kept(check_key(key)));
    const Bytes name = bytes_of(key);
    const bool there = find(table, name) != nullptr;
    wrote();
    if (there) {
      overlays_[table.number].insert_or_assign(name, std::nullopt);
      --counts_[table.number];
    }
    return there;
  }
  Result<void> commit() override {
    const Injected what = TRY(enter("commit"));
    INVARIANT(writes_);
    MemoryDisk& disk = *state_->disk;
    if (disk.used_bytes + added_ > disk.bytes_most) return kept(full());
    for (std::size_t i = 0; i < overlays_.size(); ++i) {
      for (auto& [key, value] : overlays_[i]) merge(i, key, value);
    }
    ++state_->commits;
    end();
    if (what != Injected::crash_after) return {};
    state_->crashed = true;
    return fail(Fault::unavailable, "crashed at commit");
  }

  // ---- for cursors ---------------------------------------------------------------------------------------------------
  Result<Injected> enter(std::string_view operation) {
    if (failed_) return std::unexpected(*failed_);
    INVARIANT(!ended_);
    if (reserved_ != nullptr) *std::exchange(reserved_, nullptr) = room_;  // filled by now, or it stays spoilt
    return kept(state_->allow(operation));
  }
  /// A fault in a write transaction is there to stay.
  template <class T>
  Result<T> kept(Result<T> result) {
    if (!result && writes_) failed_ = result.error();
    return result;
  }
  const Bytes* find(Table table, const Bytes& key) const {
    const Overlay& overlay = overlays_[checked(table)];
    if (const auto changed = overlay.find(key); changed != overlay.end()) return changed->second ? &*changed->second : nullptr;
    const MemoryDisk::Rows& rows = state_->disk->tables[table.number];
    const auto found = rows.find(key);
    return found == rows.end() ? nullptr : &found->second;
  }
  /// The first key at or after (`beyond`: after) this that is there, or null.
  const Bytes* first_from(Table table, const Bytes& key, bool beyond) const {
    const MemoryDisk::Rows& rows = state_->disk->tables[table.number];
    const Overlay& overlay = overlays_[table.number];
    auto row = beyond ? rows.upper_bound(key) : rows.lower_bound(key);
    auto changed = beyond ? overlay.upper_bound(key) : overlay.lower_bound(key);
    while (row != rows.end() || changed != overlay.end()) {
      if (changed == overlay.end() || (row != rows.end() && less(row->first, changed->first))) return &row->first;
      if (changed->second) return &changed->first;
      if (row != rows.end() && row->first == changed->first) ++row;
      ++changed;
    }
    return nullptr;
  }
  /// The last key before this (null: of all) that is there, or null.
  const Bytes* last_before(Table table, const Bytes* key) const {
    const MemoryDisk::Rows& rows = state_->disk->tables[table.number];
    const Overlay& overlay = overlays_[table.number];
    auto row = key == nullptr ? rows.end() : rows.lower_bound(*key);
    auto changed = key == nullptr ? overlay.end() : overlay.lower_bound(*key);
    while (row != rows.begin() || changed != overlay.begin()) {
      if (changed == overlay.begin() || (row != rows.begin() && less(std::prev(changed)->first, std::prev(row)->first))) return &std::prev(row)->first;
      --changed;
      if (changed->second) return &changed->first;
      if (row != rows.begin() && std::prev(row)->first == changed->first) --row;
    }
    return nullptr;
  }
  ByteView lend(const Bytes& bytes) {
    lent_.push_back(std::make_unique<Bytes>(bytes));
    return *lent_.back();
  }
  std::uint64_t writes() const { return write_count_; }
  std::uint64_t began() const { return began_; }
  bool ended() const { return ended_; }

 private:
  std::size_t checked(Table table) const {
    INVARIANT(table.number < overlays_.size());
    return table.number;
  }
  static Result<void> full() { return fail(Fault::unavailable, "the disk is full; make room and try again"); }
  Result<void> set(Table table, ByteView key, Bytes copy, ByteView value) {
    INVARIANT(writes_);
    TRY(kept(check_key(key)));
    for (const auto& buffer : lent_)  // a view of ours as the value: LMDB may have moved it while it is read
      INVARIANT(value.empty() || value.data() < buffer->data() || value.data() >= buffer->data() + buffer->size());
    Bytes name = bytes_of(key);
    added_ += size_of(name, copy);
    if (state_->disk->used_bytes + added_ > state_->disk->bytes_most) return kept(full());
    if (find(table, name) == nullptr) ++counts_[table.number];
    wrote();
    overlays_[table.number].insert_or_assign(std::move(name), std::move(copy));
    return {};
  }
  void merge(std::size_t table, const Bytes& key, std::optional<Bytes>& value) {
    MemoryDisk::Rows& rows = state_->disk->tables[table];
    const auto old = rows.find(key);
    for (MemoryTransaction* reader : state_->readers) {
      auto& saw = reader->overlays_[table];
      if (!saw.contains(key)) saw.emplace(key, old == rows.end() ? std::nullopt : std::optional(old->second));
    }
    if (old != rows.end()) state_->disk->used_bytes -= size_of(key, old->second);
    if (value) state_->disk->used_bytes += size_of(key, *value);
    if (!value && old != rows.end()) rows.erase(old);
    if (value) rows.insert_or_assign(key, std::move(*value));
  }
  /// What was lent stays for one more write, spoilt, so that a late reader sees that and not somebody else's memory.
  void wrote() {
    ++write_count_;
    for (const auto& buffer : lent_) std::fill(buffer->begin(), buffer->end(), spoilt);
    graves_ = std::exchange(lent_, {});
  }
  void end() {
    if (std::exchange(ended_, true)) return;
    wrote();
    state_->graves = std::exchange(graves_, {});
    if (writes_) {
      state_->writer = nullptr;
    } else {
      std::erase(state_->readers, this);
    }
  }
  std::shared_ptr<MemoryKv::State> state_;
  bool writes_, ended_ = false;
  std::uint64_t began_;
  std::optional<Error> failed_;
  std::vector<Overlay> overlays_;
  std::vector<std::uint64_t> counts_;
  std::uint64_t added_ = 0, write_count_ = 0;
  Bytes* reserved_ = nullptr;
  Bytes room_;
  Lent lent_, graves_;
};

class MemoryCursor final : public Cursor {
 public:
  MemoryCursor(MemoryTransaction& transaction, Table table) : transaction_(transaction), table_(table) {}
  Result<bool> seek(ByteView key) override {
    TRY(transaction_.enter("seek"));
    return take(transaction_.first_from(table_, bytes_of(key), false));
  }
  Result<bool> seek_last_below(ByteView key) override {
    TRY(transaction_.enter("seek"));
    const Bytes name = bytes_of(key);
    return take(transaction_.last_before(table_, &name));
  }
  Result<bool> next() override {
    TRY(transaction_.enter("next"));
    if (!at_) return false;
    return take(transaction_.first_from(table_, *at_, true));
  }
  Result<bool> last() override {
    TRY(transaction_.enter("last"));
    return take(transaction_.last_before(table_, nullptr));
  }
  ByteView key() const override {
    INVARIANT(at_.has_value());
    return key_;
  }
  ByteView value() const override {
    INVARIANT(at_.has_value());
    return value_;
  }

 private:
  Result<bool> take(const Bytes* key) {
    if (key == nullptr) {
      at_.reset();
      return false;
    }
    at_ = Bytes(*key);
    key_ = transaction_.lend(*at_);
    value_ = transaction_.lend(*transaction_.find(table_, *at_));
    return true;
  }
  MemoryTransaction& transaction_;
  Table table_;
  std::optional<Bytes> at_;
  ByteView key_, value_;
};

Result<std::unique_ptr<Cursor>> MemoryTransaction::cursor(Table table) {
  TRY(enter("cursor"));
  checked(table);
  return std::unique_ptr<Cursor>(std::make_unique<MemoryCursor>(*this, table));
}

// ---- the disk --------------------------------------------------------------------------------------------------------
bool MemoryDisk::flip_bit(Table table, ByteView key, std::uint64_t bit) {
  if (table.number >= tables.size()) return false;
  const auto row = tables[table.number].find(bytes_of(key));
  if (row == tables[table.number].end() || row->second.empty()) return false;
  bit %= row->second.size() * 8;
  row->second[bit / 8] = static_cast<std::uint8_t>(row->second[bit / 8] ^ (1U << bit % 8));
  return true;
}

std::optional<std::pair<Table, Bytes>> MemoryDisk::flip_any_bit(std::uint64_t choice) {
  std::uint64_t bits = 0;
  for (const Rows& rows : tables) {
    for (const auto& [key, value] : rows) bits += value.size() * 8;
  }
  if (bits == 0) return std::nullopt;
  choice %= bits;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    for (const auto& [key, value] : tables[i]) {
      if (choice >= value.size() * 8) {
        choice -= value.size() * 8;
        continue;
      }
      const Table table{static_cast<std::uint8_t>(i)};
      flip_bit(table, key, choice);
      return std::pair(table, key);
    }
  }
  return std::nullopt;
}

// ---- the Kv ----------------------------------------------------------------------------------------------------------
MemoryKv::MemoryKv(MemoryDisk& disk, std::size_t table_count) : state_(std::make_shared<State>()) {
  disk.tables.resize(std::max(disk.tables.size(), table_count));
  state_->disk = &disk;
}
MemoryKv::~MemoryKv() { INVARIANT(state_->crashed || (state_->writer == nullptr && state_->readers.empty())); }

Result<std::unique_ptr<ReadTransaction>> MemoryKv::read() {
  TRY(state_->allow("read"));
  return std::unique_ptr<ReadTransaction>(std::make_unique<MemoryTransaction>(state_, false));
}
Result<std::unique_ptr<WriteTransaction>> MemoryKv::write() {
  TRY(state_->allow("write"));
  return std::unique_ptr<WriteTransaction>(std::make_unique<MemoryTransaction>(state_, true));
}
Result<KvStats> MemoryKv::stats() {
  TRY(state_->allow("stats"));
  KvStats out;
  out.used_bytes = state_->disk->used_bytes;
  out.map_bytes = state_->disk->bytes_most;
  out.readers = static_cast<std::uint32_t>(state_->readers.size());
  out.commits = state_->commits;
  for (const MemoryTransaction* reader : state_->readers) out.oldest_reader_behind = std::max(out.oldest_reader_behind, state_->commits - reader->began());
  return out;
}
void MemoryKv::crash() { state_->crashed = true; }
bool MemoryKv::crashed() const { return state_->crashed; }
void MemoryKv::inject(InjectHook hook) { state_->hook = std::move(hook); }
void MemoryKv::set_hook(FaultHook hook) {
  if (!hook) return inject(nullptr);
  inject([hook = std::move(hook)](std::string_view operation) { return hook(operation) ? Injected::none : Injected::fail; });
}
void MemoryKv::inject_at(std::uint64_t n, Injected what) {
  if (n == 0) return inject(nullptr);
  inject([at = state_->calls + n, what, state = state_.get()](std::string_view) { return state->calls == at ? what : Injected::none; });
}
std::uint64_t MemoryKv::calls() const { return state_->calls; }

}  // namespace dozo::store

#include "store/kv_memory.h"

#include "base/invariant.h"

// A write transaction keeps its changes in an overlay that is merged into the disk at commit: it costs by its size. Readers look at the disk
// itself; a commit while a reader is open would change what it sees, which is our own misuse and an INVARIANT. What a transaction hands out is a
// copy in a buffer that the next write or the end overwrites, so that a stale view shows at once.
namespace dozo::store {

struct MemoryKv::State {
  MemoryDisk* disk;
  FaultHook hook;
  bool crashed = false;
  bool writing = false;
  int reading = 0;

  Result<void> allow(std::string_view operation) {
    if (crashed) return fail(Fault::unavailable, "crashed");
    if (hook && !hook(operation)) return fail(Fault::unavailable, "injected fault at " + std::string(operation));
    return {};
  }
};

class MemoryTransaction;

namespace {
using Overlay = std::map<Bytes, std::optional<Bytes>, std::less<>>;
bool less(ByteView a, ByteView b) { return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end()); }
}  // namespace

class MemoryTransaction final : public WriteTransaction {
 public:
  MemoryTransaction(std::shared_ptr<MemoryKv::State> state, bool writes) : state_(std::move(state)), writes_(writes), overlays_(state_->disk->tables.size()) {
    INVARIANT(!writes_ || !state_->writing);
    (writes_ ? state_->writing = true : ++state_->reading != 0);
  }
  ~MemoryTransaction() override { end(); }

  Result<std::optional<ByteView>> get(Table table, ByteView key) override {
    TRY(state_->allow("get"));
    INVARIANT(!key.empty() && key.size() <= key_bytes_most);
    const Bytes* found = find(table, bytes_of(key));
    if (found == nullptr) return std::optional<ByteView>{};
    return std::optional<ByteView>{lend(*found)};
  }
  Result<std::unique_ptr<Cursor>> cursor(Table table) override;
  Result<std::uint64_t> count(Table table) override {
    TRY(state_->allow("count"));
    const MemoryDisk::Rows& rows = state_->disk->tables[table.number];
    std::uint64_t out = rows.size();
    for (const auto& [key, value] : overlays_[table.number]) {
      const bool before = rows.contains(key);
      if (value && !before) ++out;
      if (!value && before) --out;
    }
    return out;
  }
  Result<void> put(Table table, ByteView key, ByteView value) override {
    TRY(state_->allow("put"));
    INVARIANT(writes_ && !key.empty() && key.size() <= key_bytes_most);
    added_ += key.size() + value.size();
    if (state_->disk->used_bytes + added_ > state_->disk->bytes_most) return fail(Fault::unavailable, "the disk is full; make room and try again");
    Bytes copy = bytes_of(value);  // before the buffers go: the value may be one that this transaction lent
    spoil();
    overlays_[table.number].insert_or_assign(bytes_of(key), std::move(copy));
    return {};
  }
  Result<ByteSpan> reserve(Table table, ByteView key, std::size_t size) override {
    TRY(put(table, key, Bytes(size)));
    return ByteSpan(*overlays_[table.number].find(bytes_of(key))->second);
  }
  Result<bool> erase(Table table, ByteView key) override {
    TRY(state_->allow("erase"));
    INVARIANT(writes_);
    const Bytes name = bytes_of(key);
    const bool there = find(table, name) != nullptr;
    spoil();
    if (there) overlays_[table.number].insert_or_assign(name, std::nullopt);
    return there;
  }
  Result<void> commit() override {
    TRY(state_->allow("commit"));
    INVARIANT(writes_ && state_->reading == 0);
    for (std::size_t i = 0; i < overlays_.size(); ++i) {
      MemoryDisk::Rows& rows = state_->disk->tables[i];
      for (auto& [key, value] : overlays_[i]) {
        if (const auto old = rows.find(key); old != rows.end()) {
          state_->disk->used_bytes -= key.size() + old->second.size();
          if (!value) rows.erase(old);
        }
        if (!value) continue;
        state_->disk->used_bytes += key.size() + value->size();
        rows.insert_or_assign(key, std::move(*value));
      }
    }
    end();
    return {};
  }

  const Bytes* find(Table table, const Bytes& key) const {
    if (const auto changed = overlays_[table.number].find(key); changed != overlays_[table.number].end()) return changed->second ? &*changed->second : nullptr;
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
  const Bytes* last_key(Table table) const {
    const Bytes* best = nullptr;
    for (auto row = state_->disk->tables[table.number].rbegin(); row != state_->disk->tables[table.number].rend(); ++row) {
      if (find(table, row->first) != nullptr) {
        best = &row->first;
        break;
      }
    }
    for (auto changed = overlays_[table.number].rbegin(); changed != overlays_[table.number].rend(); ++changed) {
      if (!changed->second) continue;
      if (best == nullptr || less(*best, changed->first)) best = &changed->first;
      break;
    }
    return best;
  }
  ByteView lend(const Bytes& bytes) {
    lent_.push_back(std::make_unique<Bytes>(bytes));
    return *lent_.back();
  }
  MemoryKv::State& state() { return *state_; }

 private:
  void spoil() {
    for (const auto& buffer : lent_) std::fill(buffer->begin(), buffer->end(), std::uint8_t{0xdd});
    if (lent_.size() > 64) lent_.clear();
  }
  void end() {
    if (ended_) return;
    ended_ = true;
    (writes_ ? state_->writing = false : --state_->reading != 0);
  }
  std::shared_ptr<MemoryKv::State> state_;
  bool writes_, ended_ = false;
  std::vector<Overlay> overlays_;
  std::uint64_t added_ = 0;
  std::vector<std::unique_ptr<Bytes>> lent_;
};

class MemoryCursor final : public Cursor {
 public:
  MemoryCursor(MemoryTransaction& transaction, Table table) : transaction_(transaction), table_(table) {}
  Result<bool> seek(ByteView key) override {
    TRY(transaction_.state().allow("seek"));
    return take(transaction_.first_from(table_, bytes_of(key), false));
  }
  Result<bool> next() override {
    TRY(transaction_.state().allow("next"));
    return take(transaction_.first_from(table_, key_, true));
  }
  Result<bool> last() override {
    TRY(transaction_.state().allow("last"));
    return take(transaction_.last_key(table_));
  }
  ByteView key() const override { return key_; }
  ByteView value() const override { return value_; }

 private:
  Result<bool> take(const Bytes* key) {
    if (key == nullptr) return false;
    Bytes found = *key;
    value_ = *transaction_.find(table_, found);
    key_ = std::move(found);
    return true;
  }
  MemoryTransaction& transaction_;
  Table table_;
  Bytes key_, value_;
};

Result<std::unique_ptr<Cursor>> MemoryTransaction::cursor(Table table) {
  TRY(state_->allow("cursor"));
  return std::unique_ptr<Cursor>(std::make_unique<MemoryCursor>(*this, table));
}

MemoryKv::MemoryKv(MemoryDisk& disk, std::size_t table_count) : state_(std::make_shared<State>()) {
  disk.tables.resize(std::max(disk.tables.size(), table_count));
  state_->disk = &disk;
}
MemoryKv::~MemoryKv() = default;

Result<std::unique_ptr<ReadTransaction>> MemoryKv::read() {
  TRY(state_->allow("read"));
  return std::unique_ptr<ReadTransaction>(std::make_unique<MemoryTransaction>(state_, false));
}
Result<std::unique_ptr<WriteTransaction>> MemoryKv::write() {
  TRY(state_->allow("write"));
  return std::unique_ptr<WriteTransaction>(std::make_unique<MemoryTransaction>(state_, true));
}
Result<std::uint64_t> MemoryKv::used_bytes() { return state_->disk->used_bytes; }
void MemoryKv::crash() { state_->crashed = true; }
bool MemoryKv::crashed() const { return state_->crashed; }
void MemoryKv::set_hook(FaultHook hook) { state_->hook = std::move(hook); }

}  // namespace dozo::store

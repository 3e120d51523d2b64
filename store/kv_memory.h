// Kv in memory, for tests and the simulator: LMDB's limits, and faults on command.
//
// A MemoryDisk outlives the Kv opened on it, as a disk outlives a process: a committed transaction is on it, everything else is gone with the Kv. It is a
// plain value: a copy is an image of it, and assigning an old image to it (while no Kv is open on it) is a restored disk.
// A write costs by its size, not by the table. Views are copies that the next write overwrites with 0xdd, and so does the end of the transaction, so that a
// use that LMDB would punish at some other time shows at once.
// After a crash every call of that Kv and of its transactions fails until it is destroyed.
// Threads: one owner.
#pragma once
#include <functional>
#include <map>
#include <string_view>
#include <vector>

#include "store/kv.h"

namespace dozo::store {

class MemoryTransaction;
class MemoryCursor;

struct MemoryDisk {
  using Rows = std::map<Bytes, Bytes, std::less<>>;
  std::vector<Rows> tables;
  std::uint64_t used_bytes = 0;
  std::uint64_t bytes_most = ~std::uint64_t{0};  ///< beyond it a put or commit says that the disk is full

  /// One bit of a value turned over (`bit` modulo its length). false: no such row, or an empty value.
  bool flip_bit(Table table, ByteView key, std::uint64_t bit);
  /// The same for one of all bits of all values, chosen by a number. The row that it was in; nothing: there are no values.
  std::optional<std::pair<Table, Bytes>> flip_any_bit(std::uint64_t choice);
};

/// What is done to a call of the seam.
enum class Injected : std::uint8_t {
  none,
  fail,         ///< that call alone, with `unavailable`
  damage,       ///< that call alone, with `corrupt`
  crash,        ///< before anything of it is done
  crash_after,  ///< a commit is durable, and nobody hears of it
};

/// Asked before each call with its name: "read", "write", "get", "put", "reserve", "erase", "commit", "cursor", "count", "seek", "next", "last",
/// "stats".
using InjectHook = std::function<Injected(std::string_view operation)>;
/// The simple form: false makes the call fail.
using FaultHook = std::function<bool(std::string_view operation)>;

class MemoryKv : public Kv {
 public:
  /// Only one at a time on a disk, which must outlive it and stay in its place.
  MemoryKv(MemoryDisk& disk, std::size_t table_count);
  ~MemoryKv() override;
  Result<std::unique_ptr<ReadTransaction>> read() override;
  Result<std::unique_ptr<WriteTransaction>> write() override;
  Result<KvStats> stats() override;
  Result<bool> compact(const std::function<bool()>&) override { return false; }

  void crash();  ///< from now on every call fails
  bool crashed() const;
  void inject(InjectHook hook);
  void set_hook(FaultHook hook);
  /// Counting from 1, the n-th call from now; 0: none. Replaces any hook.
  void inject_at(std::uint64_t n, Injected what);
  std::uint64_t calls() const;  ///< so far

 private:
  friend class MemoryTransaction;
  friend class MemoryCursor;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace dozo::store

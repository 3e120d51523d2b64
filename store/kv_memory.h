// Kv in memory, for tests and the simulator: LMDB's limits, and faults on command.
//
// A MemoryDisk outlives the Kv opened on it, as a disk outlives a process. A committed transaction is on the disk; everything else is gone with the Kv.
// After a crash every call of that Kv and its transactions fails until it is destroyed.
#pragma once
#include <functional>
#include <map>
#include <vector>

#include "store/kv.h"

namespace dozo::store {

struct MemoryDisk {
  using Rows = std::map<Bytes, Bytes, std::less<>>;
  std::vector<Rows> tables;
  std::uint64_t used_bytes = 0;
  std::uint64_t bytes_most = ~std::uint64_t{0};  ///< beyond it a commit or put says that the disk is full
};

/// Asked before each operation with its name ("get", "put", "commit", ...); false makes that one fail with `unavailable`.
using FaultHook = std::function<bool(std::string_view operation)>;

class MemoryKv : public Kv {
 public:
  MemoryKv(MemoryDisk& disk, std::size_t table_count);
  ~MemoryKv() override;
  Result<std::unique_ptr<ReadTransaction>> read() override;
  Result<std::unique_ptr<WriteTransaction>> write() override;
  Result<std::uint64_t> used_bytes() override;

  void crash();  ///< from now on every call fails
  bool crashed() const;
  void set_hook(FaultHook hook);

 private:
  friend class MemoryTransaction;
  friend class MemoryCursor;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace dozo::store

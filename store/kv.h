// Kv: the small transactional seam under everything that a node keeps. Two bodies: LMDB (kv_lmdb.h) and memory (kv_memory.h), which the
// simulator crashes, fills and flips. One conformance suite runs against both.
//
// LMDB's limits are everybody's: keys of 1 to 511 bytes; one write transaction at a time in a Kv, and none nested; what a transaction hands out
// lives no longer than it, and no longer than the next write in it; readers are short, because they keep old pages alive.
// Faults: unavailable (full: disk or map; says which and what to do), corrupt (the environment's own structure is damaged: reopen with a check).
// After a fault in a write transaction it can only be dropped, which undoes it.
// Threads: a Kv may be shared; a transaction has one owner. The memory body has one owner altogether.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/bytes.h"

namespace dozo::store {

/// Number of a table in the list that a Kv was opened with.
struct Table {
  std::uint8_t number{};
  friend auto operator<=>(const Table&, const Table&) = default;
};

inline constexpr std::size_t key_bytes_most = 511;

/// Walks a table in byte order of its keys. key() and value() may be asked after a call that returned true.
class Cursor {
 public:
  virtual ~Cursor() = default;
  virtual Result<bool> seek(ByteView key) = 0;  ///< to the first key at or after this; false: none
  virtual Result<bool> next() = 0;
  virtual Result<bool> last() = 0;
  virtual ByteView key() const = 0;
  virtual ByteView value() const = 0;
};

class ReadTransaction {
 public:
  virtual ~ReadTransaction() = default;
  virtual Result<std::optional<ByteView>> get(Table table, ByteView key) = 0;
  virtual Result<std::unique_ptr<Cursor>> cursor(Table table) = 0;
  virtual Result<std::uint64_t> count(Table table) = 0;
};

class WriteTransaction : public ReadTransaction {
 public:
  virtual Result<void> put(Table table, ByteView key, ByteView value) = 0;
  /// Room for a value, to be filled before the next call.
  virtual Result<ByteSpan> reserve(Table table, ByteView key, std::size_t size) = 0;
  virtual Result<bool> erase(Table table, ByteView key) = 0;  ///< false: was not there
  /// Durable when it returns without fault. Nothing else may be called afterwards.
  virtual Result<void> commit() = 0;
};

class Kv {
 public:
  virtual ~Kv() = default;
  virtual Result<std::unique_ptr<ReadTransaction>> read() = 0;
  virtual Result<std::unique_ptr<WriteTransaction>> write() = 0;
  virtual Result<std::uint64_t> used_bytes() = 0;
};

}  // namespace dozo::store

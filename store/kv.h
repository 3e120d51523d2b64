// Kv: the small transactional seam under everything that a node keeps. Two bodies: LMDB (kv_lmdb.h) and memory (kv_memory.h), which the
// simulator crashes, fills and flips. One conformance suite runs against both.
//
// LMDB's limits are everybody's: keys of 1 to 511 bytes; one write transaction at a time in a Kv, and none nested; readers are short, because they
// keep old pages alive. A reader sees what was committed when it began, whatever is written meanwhile.
// What a transaction hands out (views, and what a cursor shows) lives no longer than it, and no longer than the next write in it; it must not be
// handed back to put. Cursors may be kept across writes: next() goes to the first key after the one that the cursor showed last.
// Faults: unavailable (full: disk or map; says which and what to do), corrupt (the environment's own structure is damaged: reopen with a check),
// malformed (an empty key), over_limit (a longer key). After a fault in a write transaction every call in it fails: it can only be dropped, which
// undoes it. A fault in commit: nothing was committed, as far as the disk told the truth.
// Threads: a Kv may be shared. A transaction and its cursors have one owner, and a write transaction stays in its thread: a second one in that thread is
// a bug of ours, one in another thread waits. The memory body has one owner altogether. The Kv must outlive its transactions.
#pragma once
#include <functional>
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

/// Walks a table in byte order of its keys. key() and value() may be asked after a call that returned true, until the next write; nothing may
/// be asked after the transaction.
class Cursor {
 public:
  virtual ~Cursor() = default;
  virtual Result<bool> seek(ByteView key) = 0;             ///< to the first key at or after this (empty: the first of all); false: none
  virtual Result<bool> seek_last_below(ByteView key) = 0;  ///< to the last key before this; false: none
  virtual Result<bool> next() = 0;                         ///< needs a call that returned true before
  virtual Result<bool> last() = 0;
  virtual ByteView key() const = 0;
  virtual ByteView value() const = 0;
};

class ReadTransaction {
 public:
  virtual ~ReadTransaction() = default;
  virtual Result<std::optional<ByteView>> get(Table table, ByteView key) = 0;
  virtual Result<std::unique_ptr<Cursor>> cursor(Table table) = 0;
  virtual Result<std::uint64_t> count(Table table) = 0;  ///< costs no walk
};

class WriteTransaction : public ReadTransaction {
 public:
  virtual Result<void> put(Table table, ByteView key, ByteView value) = 0;
  /// Room for a value, to be filled altogether before the next call.
  virtual Result<ByteSpan> reserve(Table table, ByteView key, std::size_t size) = 0;
  virtual Result<bool> erase(Table table, ByteView key) = 0;  ///< false: was not there
  /// What this transaction writes is not to keep other things out of the machine's memory once it is durable: who reads it soon reads the disk. A hint and no
  /// more.
  virtual void expect_no_reads() {}
  /// Durable when it returns without fault. Nothing else may be called afterwards.
  virtual Result<void> commit() = 0;
};

struct KvStats {
  std::uint64_t used_bytes{};            ///< of the file or the memory, pages that wait for reuse included
  std::uint64_t free_bytes{};            ///< of these pages alone
  std::uint64_t commits{};               ///< another number after each commit
  std::uint64_t map_bytes{};             ///< what it may grow to without growing the map
  std::uint32_t readers{};               ///< that are open now
  std::uint64_t oldest_reader_behind{};  ///< commits since the oldest of them began: what keeps old pages alive
};

class Kv {
 public:
  virtual ~Kv() = default;
  virtual Result<std::unique_ptr<ReadTransaction>> read() = 0;
  virtual Result<std::unique_ptr<WriteTransaction>> write() = 0;
  virtual Result<KvStats> stats() = 0;
  /// Gives back pages that wait for reuse, and what pages have room for: writes all rows anew, in the order of their keys. Others read and write meanwhile, but
  /// what is committed meanwhile makes it vain. Not in a thread that has a write transaction open. False: it was vain, or `go_on`, which is asked now and then,
  /// said no, or there is no room to do it in; all is as before. So it is after a fault, but where the disk would not say that the new file is durable: then
  /// nothing more is written until a new start.
  virtual Result<bool> compact(const std::function<bool()>& go_on) = 0;
};

/// The limits of keys, for both bodies.
Result<void> check_key(ByteView key);

}  // namespace dozo::store

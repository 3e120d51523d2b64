// History rows: keys, seals and transactions of one library's history in a Kv, and nothing about what the rows mean.
//
// A key is the space (keyed from the library), a table's byte, and then names as keyed hashes and numbers in big-endian order. A value is
// sealed and bound to its key. The rows lie in table 0 of the Kv. Private to history_shelf.cpp. Threads: one.
#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "base/ids.h"
#include "base/result.h"

namespace dozo::crypto {
class LocalKey;
}

namespace dozo::store {

class Kv;

/// The bytes are part of the format of docs/history.md section 4.
enum class HistoryTable : std::uint8_t {
  head = 'h',
  commit = 'c',
  number = 'n',
  change = 'p',
  paths = 'w',
  manifest = 'm',
  object = 'o',
  ref = 'r',
  trace = 't',
};

class HistoryRows {
 public:
  /// Opens a snapshot, or the first write transaction.
  static Result<std::unique_ptr<HistoryRows>> open(Kv& kv, const crypto::LocalKey& key, const LibraryId& library, bool writing);
  ~HistoryRows();  ///< drops the transaction that is open

  // ---- keys ----------------------------------------------------------------------------------------------------------
  const Bytes& space() const;  ///< what every key begins with
  Bytes key(HistoryTable table) const;
  Bytes key(HistoryTable table, std::uint64_t number) const;
  Bytes key(HistoryTable table, std::uint64_t number, std::uint32_t part) const;
  Bytes key(HistoryTable table, ByteView name) const;
  Bytes key(HistoryTable table, ByteView name, std::uint64_t number) const;
  bool is_own(ByteView key) const;  ///< of this library's history

  // ---- rows ----------------------------------------------------------------------------------------------------------
  struct Row {
    Bytes key, plain;
  };
  Result<std::optional<Bytes>> get(const Bytes& key);  ///< Fault: corrupt when it does not open
  Result<bool> has(const Bytes& key);
  /// The first row at or after `from` whose key has the first `common` bytes of it.
  Result<std::optional<Row>> seek(const Bytes& from, std::size_t common);
  /// Every row of a table, until `take` returns false.
  Result<void> each(HistoryTable table, const std::function<Result<bool>(ByteView plain)>& take);

  // ---- writing -------------------------------------------------------------------------------------------------------
  Result<void> put(const Bytes& key, ByteView plain);
  Result<void> drop(const Bytes& key);  ///< also when it is not there
  std::size_t puts() const;             ///< and drops, in the transaction that is open
  Result<void> commit();
  Result<void> begin();  ///< the next transaction; needs the last one committed

 private:
  struct Body;
  explicit HistoryRows(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace dozo::store

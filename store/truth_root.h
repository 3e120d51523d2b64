// Truth root: the one sealed value that says how many rows there must be, and which, so that a missing row is noticed.
//
// For each table under it a count and the sum of the SHA-256 of its rows, so that a change costs by the rows changed. The sum (four lanes of 64 bits,
// each modulo 2^64) finds accidents: lost, doubled, changed and moved rows. It is no commitment against somebody who chooses rows; against
// that the value is sealed under a key of the node, and rows are signed or sealed themselves.
// Threads: plain values.
#pragma once
#include <array>
#include <map>

#include "base/bytes.h"
#include "base/ids.h"

namespace dozo::store {

/// How the node seals what stays on its own disk. `associated` binds a value to its place.
class Sealer {
 public:
  virtual ~Sealer() = default;
  virtual Bytes seal(ByteView plain, ByteView associated) const = 0;
  virtual Result<Bytes> open(ByteView sealed, ByteView associated) const = 0;  ///< Fault: corrupt
};

/// A multiset of rows as 32 bytes: adding and taking away commute.
struct RowSum {
  std::array<std::uint64_t, 4> lanes{};
  void add(std::uint8_t table, ByteView key, ByteView value);
  void subtract(std::uint8_t table, ByteView key, ByteView value);
  bool operator==(const RowSum&) const = default;
};

struct TableSum {
  std::uint64_t count{};
  RowSum sum;
  bool operator==(const TableSum&) const = default;
};

inline constexpr std::uint8_t truth_format_least = 1;  ///< that is still read and written
inline constexpr std::uint8_t truth_format = 2;        ///< of a store that is made now, and to which an older one is migrated

/// By the table's letter in docs/storage-format.md.
struct RootValue {
  std::uint8_t format = truth_format;
  std::map<std::uint8_t, TableSum> tables;
  Bytes encode() const;
  static Result<RootValue> decode(ByteView bytes);  ///< Faults: malformed, unsupported
  bool operator==(const RootValue&) const = default;
};

}  // namespace dozo::store

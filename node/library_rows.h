// Library rows: what a library has made of its feeds' records, as it lies in the derived store beside the folder: so that a start need not read every record
// again, and none is held in memory.
//
//   'l'                   sealed: LibraryState
//   'r' record number     sealed: RecordRow
//   'i' record            its number; the record by a keyed hash
//   'e' line sequence     of an entry that was taken in: the number of its record (0: none), and the beginning of the entry's hash; the line by a keyed hash
//   'a' time number       nothing: a record that is accepted; the time is its stamp's
//   'x' number            nothing: a record of which some carrier does not count
//
// Private to node::Library and what checks it. Threads: one, in the caller's transaction. Faults: the store's; corrupt.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "crypto/local_seal.h"
#include "store/accept.h"
#include "store/truth.h"
#include "store/view.h"

namespace dozo::node {

using store::RecordNumber;

/// An entry that carries a record.
struct Carrier {
  store::Branch branch;
  Sequence sequence;
  PolicyVersion policy, highest_before;
  bool authentic{};
  std::int64_t time_ms{}, latest_before_ms{};
  std::optional<store::Refusal> refusal;  ///< as judged last
};

/// All of a record that judging it anew needs.
struct RecordRow {
  RecordId id;
  std::uint64_t hlc{};
  NodeId device;
  PersonId person;
  std::string role;
  bool well_formed{};
  std::vector<Carrier> carriers;
  std::optional<store::Refusal> refusal;  ///< nothing: accepted
  store::Stamp stamp() const { return {hlc, id}; }
};

struct LibraryState {
  bool portable_names{};
  RecordNumber last;           ///< the highest that was given
  std::uint64_t entries{};     ///< that were taken in
  Digest judged_by;            ///< of all beside the records by which they were judged last
  std::uint64_t in_history{};  ///< records, the first in the order of stamps, that the history's folder shows; in_history_unknown: it is to be made anew
  std::optional<store::Stamp> history_dirty;  ///< the lowest stamp at which history may differ from the accepted records
};
inline constexpr std::uint64_t in_history_unknown = ~std::uint64_t{0};

struct EntryRow {
  RecordNumber record;  ///< 0: none
  FixedBytes<8, struct EntryHashTag> hash;
  friend bool operator==(const EntryRow&, const EntryRow&) = default;
};

class LibraryRows {
 public:
  LibraryRows(const crypto::LocalKey& key, const LibraryId& library);
  const Bytes& space() const { return space_; }                  ///< what every key begins with; the folder's too
  const Bytes& history_space() const { return history_space_; }  ///< the same of the history's folder

  Result<std::optional<LibraryState>> state(store::ReadTransaction& in) const;  ///< nothing: not begun
  Result<void> put_state(store::WriteTransaction& out, const LibraryState& state) const;
  Result<void> erase_state(store::WriteTransaction& out) const;  ///< before the other rows are erased, some at a time

  Result<std::optional<RecordRow>> record(store::ReadTransaction& in, RecordNumber number) const;
  Result<std::optional<RecordNumber>> number_of(store::ReadTransaction& in, const RecordId& id) const;
  /// Every record, by number, after `after`, until `take` returns false.
  Result<void> each_record(store::ReadTransaction& in, RecordNumber after, const std::function<Result<bool>(RecordNumber, RecordRow)>& take) const;
  /// The accepted of this time and later ones, in the order of their stamps, until `take` returns false.
  Result<void> each_accepted(store::ReadTransaction& in, std::uint64_t from_hlc,
                             const std::function<Result<bool>(RecordNumber, const store::Stamp&)>& take) const;
  Result<std::uint64_t> last_hlc(store::ReadTransaction& in) const;  ///< of the accepted; 0: there is none
  Result<std::vector<RecordNumber>> not_counting(store::ReadTransaction& in) const;
  Result<std::optional<EntryRow>> entry(store::ReadTransaction& in, const store::Branch& branch, Sequence sequence) const;
  static EntryRow entry_row(RecordNumber record, ByteView entry);

  /// With all that leads to it. `before`: what stood there, if anything did.
  Result<void> put_record(store::WriteTransaction& out, RecordNumber number, const RecordRow& row, const std::optional<RecordRow>& before) const;
  Result<void> put_entry(store::WriteTransaction& out, const store::Branch& branch, Sequence sequence, const EntryRow& row) const;
  /// Takes out some rows of a space; false: there are no more. So that a transaction stays small.
  static Result<bool> erase_some(store::WriteTransaction& out, ByteView space);

 private:
  Bytes key(char kind, ByteView rest = {}) const;
  static Bytes number_bytes(RecordNumber number);
  Bytes line(const store::Branch& branch) const;

  const crypto::LocalKey& key_;
  Bytes space_, history_space_;
};

}  // namespace dozo::node

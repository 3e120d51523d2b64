// View: what a library's documents hold now, as a function of the set of its accepted records, in whatever order and however often they come.
//
// A version is *live* when an accepted record makes it and none replaces it. Several live values in one register are a conflict; nothing here
// chooses between them, it only puts them in an order. An id that is replaced before it appears is dead when it appears.
//
// It lies in a Kv and holds nothing in memory, so that its size does not matter. A row says which operations of which records make a version; what the
// version is, is read from the record, and checked against a keyed hash of its id. So a row says nothing about what a document is or is called, and a
// damaged one shows.
// Not here: which records are accepted (accept.h), what the folder shows (folder.h), what a folder writes (acts.h).
// Threads: one at a time, and Kv's rules hold. What the constructor was given outlives it.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "store/kv.h"
#include "store/record.h"

namespace dozo::crypto {
class LocalKey;
}

namespace dozo::store {

/// A record in one node's derived store, by the order in which it came there.
using RecordNumber = Strong<std::uint32_t, struct RecordNumberTag>;

struct StoredRecord {
  RecordId id;
  Record record;
  std::string text;                 ///< who and when, as it stands in a conflict name
  std::vector<VersionId> versions;  ///< that its operations make

  StoredRecord(const RecordId& id, Record record);
  Stamp stamp() const { return {record.hlc, id}; }
};

/// Where the view reads records again.
class RecordSource {
 public:
  virtual ~RecordSource() = default;
  /// Faults: those of the store; corrupt where there is no such record.
  virtual Result<std::shared_ptr<const StoredRecord>> record(RecordNumber number) = 0;
};

/// What one operation made. Of several records that make the same version the smallest-stamped gives it its stamp, strings and source.
struct Version {
  Op op;
  VersionId id;
  Stamp stamp;
  std::string text;  ///< who and when, as it stands in a conflict name

  const Stamp& rank() const { return op.side ? op.side->rank : stamp; }
  bool operator==(const Version&) const = default;
};

/// What the registers of one document hold. A plain value.
class Registers {
 public:
  using Group = std::vector<const Version*>;  ///< equal values, never empty; the first is shown

  DocumentId document;
  std::array<std::vector<Version>, register_count> versions;  ///< the live ones of each: the first shown first (by rank, of equal ranks the older)
  std::array<bool, register_count> made{};                    ///< some accepted record set it, be it to Deleted
  /// Of path and content, where the other one is live and this is not: the value that a live deletion replaced (of several the first by rank); if that is
  /// not known, the greatest-stamped one. Nothing: none ever.
  std::array<std::optional<Version>, register_count> last;
  Stamp age;  ///< since when the path by which the document goes, and what it replaced, named this path

  const std::vector<Version>& live(Register reg) const { return versions[static_cast<std::size_t>(reg)]; }
  std::vector<VersionId> live_ids(Register reg) const;  ///< ascending
  std::vector<Group> groups(Register reg) const;        ///< live values other than Deleted
  bool is_deleted_live(Register reg) const;             ///< a deletion is among the live versions
  bool is_made(Register reg) const { return made[static_cast<std::size_t>(reg)]; }
  std::uint32_t label() const;  ///< of several the highest, 0 without one
};

class View {
 public:
  /// Rows begin with `space`, in this table.
  View(Table table, Bytes space, const crypto::LocalKey& key, RecordSource& source) : table_(table), space_(std::move(space)), key_(key), source_(source) {}

  /// Takes a record in; with `only`, what it does to that document. Says which documents it names.
  Result<std::set<DocumentId>> apply(WriteTransaction& out, RecordNumber number, const StoredRecord& record, const DocumentId* only = nullptr);
  /// The records that make a version of the document.
  Result<std::set<RecordNumber>> makers(ReadTransaction& in, const DocumentId& document) const;
  /// Takes the document out, with what is known to be replaced in it: before its records are applied anew because acceptance changed.
  Result<void> forget(WriteTransaction& out, const DocumentId& document);

  /// Of a document that is not known: empty.
  Result<Registers> load(ReadTransaction& in, const DocumentId& document) const;
  Result<bool> is_replaced(ReadTransaction& in, const DocumentId& document, Register reg, const VersionId& id) const;
  /// That every version in every row is made by the operations that the row names. Fault: corrupt.
  Result<void> check(ReadTransaction& in) const;
  /// All that were ever named.
  Result<void> each(ReadTransaction& in, const std::function<Result<bool>(const DocumentId&)>& take) const;

 private:
  struct Place {
    RecordNumber record;
    std::uint16_t op{};
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  /// A version by a keyed hash of its id: the id is a plain hash of a path or content, which could be guessed from it.
  using VersionKey = FixedBytes<12, struct VersionKeyTag>;
  // One register's versions are nothing to another's, whatever an operation says that it replaces.
  struct Live {
    Register reg{};
    VersionKey version;
    std::vector<Place> makers;  ///< the smallest-stamped first
  };
  struct Row {
    std::uint8_t made{};  ///< a bit for each register
    std::vector<Live> live;
  };
  struct Dead {
    std::vector<Place> makers;  ///< none: it has not appeared
  };
  Bytes key(const DocumentId& document) const;
  Bytes key(const DocumentId& document, Register reg, const VersionKey& version) const;
  VersionKey key_of(const VersionId& id) const;
  static Bytes encode(const Row& row);
  static Bytes encode(const Dead& dead);
  static Result<Row> decode_row(ByteView bytes);
  static Result<Dead> decode_dead(ByteView bytes);
  Result<Row> row(ReadTransaction& in, const DocumentId& document) const;
  Result<std::optional<Dead>> dead(ReadTransaction& in, const DocumentId& document, Register reg, const VersionKey& version) const;
  using EachDead = std::function<Result<void>(Register, const VersionKey&, const Dead&)>;
  Result<void> each_dead(ReadTransaction& in, const DocumentId& document, const EachDead& take) const;
  Result<void> add_maker(std::vector<Place>& makers, const Place& place, const Stamp& stamp) const;
  Result<Version> version(const DocumentId& document, Register reg, const VersionKey& version, const Place& place) const;
  Result<std::optional<Version>> last(ReadTransaction& in, const DocumentId& document, Register reg, const Registers& known) const;
  Result<Stamp> age(ReadTransaction& in, const Version& path) const;

  Table table_;
  Bytes space_;
  const crypto::LocalKey& key_;
  RecordSource& source_;
};

}  // namespace dozo::store

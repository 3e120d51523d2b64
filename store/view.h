// View: what a library's documents hold now, as a function of the set of its accepted records, in whatever order and however often they come.
//
// A version is *live* when an accepted record makes it and none replaces it. Several live values in one register are a conflict; nothing here
// chooses between them, it only puts them in an order. An id that is replaced before it appears is dead when it appears.
// Not here: which records are accepted (accept.h), what the folder shows (folder.h), what a folder writes (acts.h).
// Threads: one at a time. Pointers to versions hold until the next change of the view.
#pragma once
#include <array>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "store/record.h"

namespace dozo::store {

/// What one operation made. Of several records that make the same version the smallest-stamped gives it its stamp, strings and source.
struct Version {
  Op op;
  VersionId id;
  Stamp stamp;
  std::string text;  ///< who and when, as it stands in a conflict name

  const Stamp& rank() const { return op.side ? op.side->rank : stamp; }
  bool operator==(const Version&) const = default;
};

/// The versions that a record makes, one for each operation, in their order.
std::vector<Version> versions_of(const Record& record, const RecordId& id);

class View {
 public:
  using Group = std::vector<const Version*>;  ///< equal values, never empty; the first is shown

  void apply(const Version& version);
  /// Takes the document out, with what is known to be replaced in it: before its versions are applied anew because acceptance changed.
  void forget(const DocumentId& document);

  // Of one register; a document that is not known has none of anything.
  Group live(const DocumentId& document, Register reg) const;                       ///< the first shown first: by rank, of equal ranks the older
  std::vector<VersionId> live_ids(const DocumentId& document, Register reg) const;  ///< ascending
  std::vector<Group> groups(const DocumentId& document, Register reg) const;        ///< live values other than Deleted
  bool is_deleted_live(const DocumentId& document, Register reg) const;             ///< a deletion is among the live versions
  bool is_made(const DocumentId& document, Register reg) const;                     ///< some accepted record set it, be it to Deleted
  bool is_replaced(const DocumentId& document, Register reg, const VersionId& id) const;
  /// The value that a live deletion replaced (of several the first by rank); if that is not known, the greatest-stamped one. Null: none ever.
  const Version* last(const DocumentId& document, Register reg) const;
  /// Since when a path version, and what it replaced, named this path.
  Stamp age(const Version& path) const;
  /// The label; of several the highest, 0 without one.
  std::uint32_t label(const DocumentId& document) const;

  std::vector<DocumentId> documents() const;  ///< all that were ever named, ascending

 private:
  struct Slot {
    std::map<VersionId, Version> made;
    std::set<VersionId> dead;
    std::set<VersionId> live;  ///< made and not dead
  };
  using Document = std::array<Slot, register_count>;
  const Slot* slot_of(const DocumentId& document, Register reg) const;

  std::map<DocumentId, Document> documents_;
};

}  // namespace dozo::store

// Folder: what a library looks like: shown paths and what stands at each, kept up to date as records come.
//
// A document shows its first path and its contents: the first under its own name, others beside it under conflict names. Folders that meet
// (names.h) are one, spelt as the oldest document in them spells it. Of documents that meet at one name the oldest keeps it; a folder keeps its
// name against a document. Plain names are given out before conflict names.
//
// The result is a pure function of the view. It lies in a Kv (folder_rows.h) and holds nothing in memory. Cost of a change: the changed documents' versions,
// the names that they touch, and the conflict names of those folders; never the number of documents. The exception is a folder that is spelt in two ways,
// and then loses the oldest document of one of them.
// Not here: what a folder or a request writes (acts.h), history (history.h).
// Threads: one at a time, and Kv's rules hold: to be asked where no write transaction is open in this thread, but for what is given one. What the constructor
// was given outlives it. Faults everywhere: the store's; corrupt, where rows do not fit each other.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "store/names.h"
#include "store/view.h"

namespace dozo::crypto {
class LocalKey;
}

namespace dozo::store {

/// What stands at a shown path.
struct Shown {
  DocumentId document;
  ContentValue value;
  std::optional<Source> source;
  std::string at;                   ///< the document's own path; its folders may be shown spelt otherwise, and its name made over
  std::vector<VersionId> replaces;  ///< what a save of this file replaces
  std::optional<Side> side;         ///< what a save of this file copies; nothing: its document shows this content first
  Stamp rank;
  bool operator==(const Shown&) const = default;
};

/// A path that shows something else than before. A folder's own document (`dir`) stands at a path that ends in a slash.
struct Change {
  std::string path;
  std::optional<Shown> now;  ///< nothing: the path is gone
  bool operator==(const Change&) const = default;
};

enum class ConflictKind : std::uint8_t { content, deleted, label, name, path, pathless };
constexpr ConflictKind wire_last(ConflictKind) { return ConflictKind::pathless; }

/// What waits for a person, in one document.
struct Conflict {
  ConflictKind kind{};
  DocumentId document;
  std::optional<DocumentId> holder;  ///< of kind name: which document has the name; nothing: a folder has it
  friend auto operator<=>(const Conflict&, const Conflict&) = default;
};

class Folder {
 public:
  /// Where it lies: a table, and what its keys there begin with. One rule for one space, always.
  struct Place {
    Kv& kv;
    Table table;
    Bytes space;
    const crypto::LocalKey& key;
  };
  Folder(Place place, NameRule rule, RecordSource& source);
  Folder(Folder&&) noexcept;
  Folder& operator=(Folder&&) noexcept;
  ~Folder();

  // ---- writing: in the caller's transaction, of the same Kv; after a fault it can only be dropped ------------------------
  /// Takes a record in, whose source has it already. `changes`: the paths that show something else, ascending, each once.
  Result<void> apply(WriteTransaction& out, RecordNumber number, std::vector<Change>* changes = nullptr);
  /// Replaces all that is known of a document: for when a record that named it is accepted no longer. `stay`: accepted records that name it.
  Result<void> reset(WriteTransaction& out, const DocumentId& document, std::span<const RecordNumber> stay, std::vector<Change>* changes = nullptr);
  /// The records that name a document, of those that were taken in.
  Result<std::set<RecordNumber>> makers(ReadTransaction& in, const DocumentId& document) const;

  // ---- reading -----------------------------------------------------------------------------------------------------------
  NameRule rule() const;
  Result<Registers> registers(const DocumentId& document) const;
  Result<bool> is_replaced(const DocumentId& document, Register reg, const VersionId& id) const;
  Result<std::optional<Shown>> find(std::string_view path) const;  ///< exactly as shown
  /// The same of many, in their order: what their folders have in common is looked up once.
  Result<std::vector<std::optional<Shown>>> find(std::span<const std::string> paths) const;
  /// By its own path, a document whose name was made over because another has it.
  Result<std::optional<Shown>> displaced(std::string_view path) const;
  Result<std::vector<Shown>> of(const DocumentId& document) const;  ///< what it shows: the first content, then the others by rank
  Result<bool> shows(const DocumentId& document) const;             ///< it is there, though perhaps only as part of a folder
  Result<bool> is_folder(std::string_view path) const;              ///< something is shown below it ("" always is one), however that is spelt
  using Take = std::function<bool(const std::string& path, const Shown&)>;
  /// All below a shown folder ("" is the top), in the order of their paths and only those after `after`, until `take` returns false.
  Result<void> walk(std::string_view folder, std::string_view after, const Take& take) const;
  /// What is directly in a folder, in the order of its paths: a folder in it has a slash at its end, and its own document where it has one.
  using TakeOne = std::function<bool(const std::string& path, const std::optional<Shown>&)>;
  Result<void> list(std::string_view folder, std::string_view after, const TakeOne& take) const;
  Result<std::map<std::string, Shown>> entries() const;
  Result<std::vector<Conflict>> conflicts() const;  ///< ascending
  Result<std::vector<Conflict>> conflicts_of(const DocumentId& document) const;
  Result<bool> is_in_conflict(const DocumentId& document) const;
  struct Counts {
    std::uint64_t documents{};  ///< that are there
    std::uint64_t conflicts{};  ///< documents in conflict
    bool operator==(const Counts&) const = default;
  };
  Result<Counts> counts() const;
  Result<void> check_versions() const;  ///< that every version in every row is made by the operations that the row names

 private:
  class Body;
  std::unique_ptr<Body> body_;
};

}  // namespace dozo::store

// Folder: what a library looks like: shown paths and what stands at each, kept up to date as records come.
//
// A document shows its first path and its contents: the first under its own name, others beside it under conflict names. Folders that meet
// (names.h) are one, spelt as the oldest document in them spells it. Of documents that meet at one name the oldest keeps it; a folder keeps its
// name against a document. Plain names are given out before conflict names.
//
// The result is a pure function of the view; this class only keeps it without doing all again. Cost of a change: the changed documents' versions,
// the names that they touch, and the conflict names of a folder when one of those is touched; never the number of documents. The exception is a
// folder whose spelling changes: everything in it has another path then.
// Not here: what a folder or a request writes (acts.h), history (history.h).
// Threads: one at a time.
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
  explicit Folder(NameRule rule);
  Folder(Folder&&) noexcept;
  Folder& operator=(Folder&&) noexcept;
  ~Folder();

  /// Takes versions in and says which paths changed, ascending, each once. One call for many records costs less than many calls.
  std::vector<Change> apply(std::span<const Version> versions);
  /// Replaces all that is known of a document: for when a record that named it is accepted no longer. `versions` are those of all accepted
  /// records that name the document (others' are passed over).
  std::vector<Change> reset(const DocumentId& document, std::span<const Version> versions);

  NameRule rule() const;
  const View& view() const;
  std::optional<Shown> find(std::string_view path) const;   ///< exactly as shown
  std::vector<Shown> of(const DocumentId& document) const;  ///< what it shows: the first content, then the others by rank
  bool shows(const DocumentId& document) const;             ///< it is there, though perhaps only as part of a folder
  /// All below a shown folder ("" is the top), in no order that means anything, until `each` returns false.
  void walk(std::string_view folder, const std::function<bool(const std::string& path, const Shown&)>& each) const;
  std::map<std::string, Shown> entries() const;
  std::vector<Conflict> conflicts() const;  ///< ascending
  std::vector<Conflict> conflicts_of(const DocumentId& document) const;

 private:
  class Body;
  std::unique_ptr<Body> body_;
};

}  // namespace dozo::store

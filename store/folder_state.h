// Folder state: a folder as its rows say, or as they will say once an update is written.
//
// Paths are folded ("" is the top, "ab/c" a name or folder below it) but where they are called shown. Private to folder.cpp and folder_update.cpp.
// Threads: one; it must not outlive what the constructor was given.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "store/folder_rows.h"

namespace dozo::store {

std::string_view parent_of(std::string_view path);
std::string_view last_part(std::string_view path);
std::string below(std::string_view folder, std::string_view name);

/// Keys of folders, each worked out once: the same one is asked for again with every name in it. Not for names: there are as many as documents.
class FolderKeys {
 public:
  explicit FolderKeys(const FolderRows& rows) : rows_(rows) {}
  const FolderKey& of(std::string_view path);  ///< of a folder: folded, or as it is spelt

 private:
  const FolderRows& rows_;
  std::map<std::string, FolderKey, std::less<>> known_;
};

/// Rows that are to be written.
struct FolderOverlay {
  std::map<FolderKey, FolderRow> folders;
  std::map<FolderKey, std::map<NameKey, std::vector<DocumentId>>> names;
  std::map<FolderKey, std::map<FolderKey, bool>> below;
};

class FolderState {
 public:
  using Placements = std::map<DocumentId, std::optional<Placement>>;
  /// `overlay` comes before the rows, `placed` before what the view says. Null: nothing does.
  FolderState(const FolderRows& rows, const View& view, NameRule rule, ReadTransaction& in, const FolderOverlay* overlay = nullptr,
              const Placements* placed = nullptr)
      : rows_(rows), view_(view), rule_(rule), in_(in), overlay_(overlay), placed_(placed), keys_(rows) {}

  Result<FolderRow> row(std::string_view folder) const;
  Result<bool> is_folder(std::string_view path) const { return !TRY(row(path)).spellings.empty(); }
  Result<std::vector<DocumentId>> wanting(std::string_view path) const;  ///< documents that want this name, ascending
  Result<std::optional<Placement>> placement(const DocumentId& document) const;
  Result<std::string> shown(const std::string& folder) const;  ///< its path, as shown

  /// Those that want a name, the oldest first.
  struct Contender {
    Age age;
    DocumentId document;
    std::string text;
    Shown shown;
  };
  Result<std::vector<Contender>> contenders(const std::vector<DocumentId>& documents) const;
  /// What stands at a name itself. Nothing: nothing does, or a folder.
  Result<std::optional<Shown>> plain(const std::string& path) const;
  Result<std::optional<Shown>> own(const std::string& folder) const;  ///< its own document
  struct Slot {
    std::string name;  ///< as shown
    Shown shown;
  };
  /// What stands beside in a folder, under conflict names.
  Result<std::vector<Slot>> conflict_names(const std::string& folder) const;
  /// Every document that has its name in a folder.
  Result<void> each_plain(const std::string& folder, const std::function<Result<bool>(Slot)>& take) const;
  Result<std::vector<std::string>> folders_in(const std::string& folder) const;
  /// All below a folder, and its own document, in no order: shown path and what stands there.
  Result<void> each_below(const std::string& folder, const std::function<void(std::string, Shown)>& take) const;

  /// Of the documents that spell a folder so. Nothing: none does.
  Result<std::optional<Word>> oldest(const std::string& folder, const Spelling& spelling) const;
  /// Several names for one folder: who is oldest decides.
  static bool is_spelt_apart(const FolderRow& row);

 private:
  Result<FolderRow> row(const FolderKey& key) const;
  Result<void> each_name(const FolderKey& folder, const std::function<Result<bool>(const std::vector<DocumentId>&)>& take) const;
  Result<std::vector<FolderKey>> keys_in(const FolderKey& folder) const;
  Result<std::string> name_of(const std::string& folder, const FolderRow& row) const;

  const FolderRows& rows_;
  const View& view_;
  NameRule rule_;
  ReadTransaction& in_;
  const FolderOverlay* overlay_;
  const Placements* placed_;
  mutable FolderKeys keys_;
  mutable std::map<std::string, std::string> shown_;  ///< what shown() said, where nothing changes meanwhile
};

}  // namespace dozo::store

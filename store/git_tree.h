// Git tree: the tree that follows from another by some changes, and the descents that read and compare trees.
//
// Only folders on the way to a change are read and written; trees are compared by id first, so that equal parts cost nothing.
// Not here: commits and numbers (history.h), what a name looks like in git (git_names.h).
// Threads: as the repository that each function works on.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/git_backend.h"
#include "store/git_objects.h"

namespace dozo::store {

/// A change taken apart. A list of them is ascending by (parts, folder_document), each once.
struct ReadyChange {
  std::vector<std::string_view> parts;  ///< names of the path, from the top; points into the change's path
  bool folder_document{};               ///< of the folder's own document
  const TreeFile* now{};                ///< null: gone. Otherwise of kind dir exactly where folder_document
};

struct WrittenChange {
  const ReadyChange* change{};
  std::optional<GitId> blob;  ///< where there is a `now`
  bool differs{};             ///< from what stood there
  bool of_folder{};           ///< it was the folder's own document that changed
};

struct Written {
  GitId tree;
  std::vector<WrittenChange> changes;  ///< in the order given, without those that took away what was not there
};

/// Writes the trees and blobs in which `base` with `changes` differs from it. A change without a slash at its end that takes a folder
/// away takes away the folder's own document. Faults: malformed (a path for a file and a folder at once); corrupt; the shelf's.
Result<Written> write_changes(GitRepository& git, const GitId& base, std::span<const ReadyChange> changes);

/// What stands at one path of a tree.
struct Found {
  std::optional<GitEntry> entry;  ///< of the name itself
  std::optional<GitEntry> mark;   ///< for a folder: the entry of its own document
};
Result<Found> find(GitRepository& git, const GitId& tree, std::span<const std::string_view> parts);

/// The entries of the tree; the empty tree's without asking for it.
Result<std::vector<GitEntry>> read_tree(GitRepository& git, const GitId& id);

/// The file that an entry (of a file or a folder's mark) names; its manifest unset.
Result<TreeFile> read_file(GitRepository& git, const GitEntry& entry);

using EachEntry = std::function<Result<bool>(const std::string& path, const GitEntry& entry)>;
/// Every file entry below, depth first in git's order, until `each` returns false; the mark of a folder as the folder's path with a slash at the end.
Result<bool> walk_tree(GitRepository& git, const GitId& tree, const std::string& prefix, const EachEntry& each);

using EachDifference = std::function<Result<bool>(const std::string& path, const GitEntry* before, const GitEntry* after)>;
/// Every file entry in which two trees differ, likewise.
Result<bool> diff_trees(GitRepository& git, const GitId& from, const GitId& to, const std::string& prefix, const EachDifference& each);

}  // namespace dozo::store

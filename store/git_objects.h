// Git objects: the bytes of the trees, commits and blobs that make up a library's history. docs/history.md fixes them: every keyed node
// must derive the same ids from the same records, for ever.
//
// A blob is not a document's content (that stays in packs) but a short text that names it. Which manifest describes the content is no
// part of it: two nodes may know equal contents by different manifests.
// Not here: where objects are kept (git_shelf.h), how trees follow from changes (git_tree.h).
// Threads: plain values and pure functions.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "store/record.h"

namespace dozo::store {

using GitId = FixedBytes<20, struct GitIdTag>;  ///< git's SHA-1 of type, size and bytes. Unkeyed: it never leaves sealed bytes

/// 4b825dc642cb6eb9a060e54bf8d69288fbee4904. Never stored: libgit2 knows it, and so do we.
extern const GitId empty_tree_id;

enum class GitKind : std::uint8_t { blob, tree, commit, tag };

/// What stands at a path, as far as history shows it.
struct TreeFile {
  ContentKind kind{};
  bool executable{};      ///< files only
  Digest content_sha256;  ///< of the whole; zero for dir. A symlink's bytes are its target
  PieceId manifest;       ///< where its pieces are described; zero for dir. No part of any git object
  std::uint64_t size{};
  DocumentId document;
  friend bool operator==(const TreeFile&, const TreeFile&) = default;
};

/// The text of a file's blob: all of TreeFile but `executable` (the entry's mode) and `manifest`.
std::string encode_blob(const TreeFile& file);
/// Fault: corrupt, for anything that encode_blob does not write. `executable` and `manifest` come back unset.
Result<TreeFile> decode_blob(ByteView bytes);

enum class GitMode : std::uint32_t { folder = 040000, plain = 0100644, executable = 0100755 };

struct GitEntry {
  std::string name;  ///< as git has it: see git_names.h
  GitMode mode{};
  GitId id;
  friend bool operator==(const GitEntry&, const GitEntry&) = default;
};
/// git's order: by bytes, a folder as if its name ended in a slash.
bool git_before(std::string_view a, bool a_is_folder, std::string_view b, bool b_is_folder);

/// Needs: in git's order, names as to_git_name makes them.
Bytes encode_tree(const std::vector<GitEntry>& entries);
/// Fault: corrupt (modes that we do not write, out of order, cut short, an empty name).
Result<std::vector<GitEntry>> decode_tree(ByteView bytes);

struct GitCommit {
  GitId tree;
  std::optional<GitId> parent;
  std::uint64_t hlc{};  ///< its milliseconds, in seconds, are the commit's time
  std::string author;   ///< as shown_author gives it
  std::string text;     ///< as shown_text gives it
  RecordId record;
};
/// How a record's `who` and `text` stand in a commit: what git cannot hold there is replaced (the record itself keeps the original).
std::string shown_author(std::string_view who);
std::string shown_text(std::string_view text);

Bytes encode_commit(const GitCommit& commit);
Result<GitCommit> decode_commit(ByteView bytes);  ///< Fault: corrupt. Exactly what encode_commit writes

}  // namespace dozo::store

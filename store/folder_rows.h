// Folder rows: how a folder lies in a Kv. Keys are keyed hashes of folded paths, and what is in clear are documents' ids, which say nothing.
//
//   'n' folder name     the documents that want this name in this folder, ascending: 16 bytes each
//   'f' folder          sealed: FolderRow
//   's' folder folder   nothing: the second lies in the first
//   'c' document        nothing: it is in conflict
//   'm'                 sealed: Counts
// `folder` and `name` are 12 bytes each. Private to folder.cpp and folder_update.cpp. Threads: one.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "store/folder.h"
#include "store/placement.h"

namespace dozo::store {

using FolderKey = FixedBytes<12, struct FolderKeyTag>;  ///< of a folder's path
using NameKey = FixedBytes<12, struct NameKeyTag>;      ///< of a folded name

/// One document's word on how a folder is spelt; the least counts.
struct Word {
  Age age;
  DocumentId document;
  friend auto operator<=>(const Word&, const Word&) = default;
};

/// One way in which documents spell the whole path of a folder. The path itself is not kept: it would be, again, in each folder below.
struct Spelling {
  FolderKey spelt, parent;     ///< of the path so spelt, and of the path before its last part
  std::string name;            ///< the last part
  std::uint64_t count{};       ///< of documents that are in it, at whatever depth, or are its own, and spell it so
  std::optional<Word> oldest;  ///< of those; nothing: not known
};

struct FolderRow {
  std::vector<Spelling> spellings;     ///< ascending by `spelt`, none with a count of 0
  std::vector<DocumentId> own;         ///< documents that are this folder, ascending
  std::vector<DocumentId> besides;     ///< documents with contents beside their first one, whose name is in here; ascending
  std::vector<std::string> contested;  ///< folded names in here that several documents want, or a document and a folder; ascending
  bool is_empty() const { return spellings.empty() && own.empty() && besides.empty() && contested.empty(); }
};

class FolderRows {
 public:
  FolderRows(Folder::Place place) : place_(std::move(place)) {}

  FolderKey folder_key(std::string_view path) const;  ///< folded; for a Spelling as it is spelt
  NameKey name_key(std::string_view folded) const;

  Result<FolderRow> folder(ReadTransaction& in, const FolderKey& key) const;  ///< empty: none
  Result<std::vector<DocumentId>> name(ReadTransaction& in, const FolderKey& folder, const NameKey& name) const;
  using TakeName = std::function<Result<bool>(const NameKey&, std::vector<DocumentId>)>;
  Result<void> each_name(ReadTransaction& in, const FolderKey& folder, const TakeName& take) const;
  Result<std::vector<FolderKey>> below(ReadTransaction& in, const FolderKey& folder) const;
  Result<bool> in_conflict(ReadTransaction& in, const DocumentId& document) const;
  Result<void> each_in_conflict(ReadTransaction& in, const std::function<Result<bool>(const DocumentId&)>& take) const;
  Result<Folder::Counts> counts(ReadTransaction& in) const;

  // An empty row is taken out.
  Result<void> put_folder(WriteTransaction& out, const FolderKey& key, const FolderRow& row) const;
  Result<void> put_name(WriteTransaction& out, const FolderKey& folder, const NameKey& name, const std::vector<DocumentId>& documents) const;
  Result<void> put_below(WriteTransaction& out, const FolderKey& folder, const FolderKey& in_it, bool there) const;
  Result<void> put_in_conflict(WriteTransaction& out, const DocumentId& document, bool is) const;
  Result<void> put_counts(WriteTransaction& out, const Folder::Counts& counts) const;

 private:
  Digest keyed(std::string_view use, std::string_view folded) const;
  Bytes key(char kind, ByteView a = {}, ByteView b = {}) const;
  Result<void> put(WriteTransaction& out, const Bytes& key, const std::optional<Bytes>& value) const;
  Result<void> each(ReadTransaction& in, const Bytes& prefix, std::size_t rest_bytes,
                    const std::function<Result<bool>(ByteView rest, ByteView value)>& take) const;

  Folder::Place place_;
};

}  // namespace dozo::store

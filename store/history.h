// History: one library's past as a line of git commits, derived from its accepted records in the order of their stamps.
//
// Commit k is what the folder showed after the first k records; commit 0 is the empty folder and has no id. Author, time and text come from
// the record; the parent is commit k-1. Every keyed node derives the same ids (docs/history.md fixes each byte). All of it is derived: it
// may be deleted and made again from the records. Contents are named, not held.
// Not here: which records count and what they do to the folder (accept.h, view.h, folder.h hand over finished steps).
//
// Kept in a Kv, every value sealed under a node-local key, every id and path in a key only as a keyed hash. Memory: the folders on the way
// to one change, never a whole tree.
// Threads: one at a time, and Kv's rules hold. A History must not outlive the Kv and the key that it was opened with; one History for each
// library and Kv (its number of commits is kept in memory too).
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "store/git_objects.h"
#include "store/record.h"

namespace dozo::crypto {
class LocalKey;
}

namespace dozo::store {

class Kv;

/// One path that a record changed. "a/b/" is the folder's own document (`dir`), beside which the folder may hold others; the slash may be
/// left out where `now` has kind dir.
struct TreeChange {
  std::string path;             ///< as shown, in bytes
  std::optional<TreeFile> now;  ///< nothing: gone. What is gone already may be gone again
};

struct HistoryStep {
  RecordId record;
  std::uint64_t hlc{};
  std::string author;               ///< the record's `who`
  std::string text;                 ///< the record's text
  std::vector<TreeChange> changes;  ///< in any order, each path once; together they lead from one state of the folder to the next
};

struct HistoryCommit {
  std::uint64_t number{};  ///< k, from 1
  GitId id;
  RecordId record;
  std::uint64_t hlc{};
  std::string author;  ///< as git shows it (shown_author)
  std::string text;    ///< as git shows it (shown_text)
  std::uint64_t changed_count{};
  std::vector<std::string> changed;  ///< paths that really changed, ascending; at most `changed_shown_most` of them
};
inline constexpr std::size_t changed_shown_most = 1000;

struct HistoryEntry {
  std::string name;
  bool is_folder{};              ///< it holds others, or has a document of its own, or both
  std::optional<TreeFile> file;  ///< for a folder: its own document, if it has one
  std::uint64_t changed_hlc{};   ///< the time of the last commit until then that changed something at its path, or below it
};

struct HistoryDifference {
  std::string path;  ///< ends in a slash for a folder's own document
  std::optional<TreeFile> before, after;
};

struct LogQuery {
  std::optional<std::string> path{};      ///< a file, or a folder with all in it (with a slash at the end or without)
  std::size_t limit = 100;                ///< at most this many commits
  std::optional<std::uint64_t> before{};  ///< only commits with lower numbers
};

class History {
 public:
  /// Nothing is there yet: size 0. Faults: corrupt (delete and derive anew), and what Kv says. What a death in the midst of extend left
  /// unfinished is removed by the next extend or rewind_to.
  static Result<History> open(Kv& kv, const crypto::LocalKey& key, const LibraryId& library);
  History(History&&) noexcept;
  History& operator=(History&&) noexcept;
  ~History();

  // ---- deriving ------------------------------------------------------------------------------------------------------
  /// One commit for each step, in write transactions of its own of at most `puts_most` puts. Needs no transaction of this thread open.
  /// Steps must ascend by (hlc, record), above the last commit's; a path must be good (names.h) and not stand for a file and a folder
  /// at once, else malformed. After any fault some first steps are in and the others not: size() says how many; nothing is half in.
  Result<void> extend(std::span<const HistoryStep> steps);
  /// Back to the first `count` commits (at most size(), else not_found); the objects that only the later ones had are deleted. Newest
  /// first, in transactions as in extend; after a fault size() says how far it came.
  Result<void> rewind_to(std::uint64_t count);
  static constexpr std::size_t puts_most = 4000;

  // ---- numbers -------------------------------------------------------------------------------------------------------
  std::uint64_t size() const;                              ///< commits
  Result<RecordId> record_at(std::uint64_t number) const;  ///< from 1 to size(), else not_found; this holds for every number below
  Result<GitId> id_at(std::uint64_t number) const;
  Result<std::optional<std::uint64_t>> number_of(const GitId& id) const;  ///< nothing: no commit of this line
  /// At most `most` commits with an id whose text begins so, newest first. Looks at the row of each commit.
  Result<std::vector<std::uint64_t>> numbers_beginning(std::string_view id_text, std::size_t most) const;
  /// How many commits stand below this stamp: where a late record belongs, and so the count to rewind to.
  Result<std::uint64_t> count_below(std::uint64_t hlc, const RecordId& record) const;
  /// The last commit whose record is not later than this; 0: none. The time is the writers' claim.
  Result<std::uint64_t> number_at_time(std::uint64_t hlc) const;
  /// The time of the last commit up to this number that changed something at the path, or below it; 0: none did. Fault: malformed (no good path).
  Result<std::uint64_t> changed_at(std::uint64_t number, std::string_view path) const;

  // ---- reading -------------------------------------------------------------------------------------------------------
  Result<std::vector<HistoryCommit>> log(const LogQuery& query) const;  ///< newest first
  Result<GitId> tree_at(std::uint64_t number) const;                    ///< number 0 is the empty tree, here and below
  /// At most `limit` entries of one folder ("" is the top), in the order of their paths, in which a folder's ends in a slash; those beyond the path `after`.
  /// Reads the whole of the folder's tree, and of what is in it those alone. Nothing: no folder there.
  Result<std::optional<std::vector<HistoryEntry>>> list(std::uint64_t number, std::string_view folder, std::string_view after = {},
                                                        std::size_t limit = std::numeric_limits<std::size_t>::max()) const;
  /// Nothing: none there, or a folder without a document of its own.
  Result<std::optional<TreeFile>> file_at(std::uint64_t number, std::string_view path) const;
  /// Every file and folder document below `folder`, until `each` returns false. Holds the folders on the way, no more.
  Result<void> walk(std::uint64_t number, std::string_view folder, const std::function<bool(const std::string& path, const TreeFile&)>& each) const;
  /// What leads from one commit to another, until `each` returns false; only folders whose ids differ are read, and of what is in them what is `wanted`.
  using WantedPath = std::function<bool(const std::string& path)>;
  Result<void> diff(std::uint64_t from, std::uint64_t to, const std::function<bool(const HistoryDifference&)>& each, const WantedPath& wanted = {}) const;

 private:
  class Body;
  explicit History(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

}  // namespace dozo::store

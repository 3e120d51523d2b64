// Fsck: holds everything in a stopped home against what the formats promise, says each thing that is otherwise, and puts right what can be put right from here.
//
//   LMDB's own pages (in a child process) -> rows of the truth -> documents, feeds, lists -> packs, opened where there are keys -> records and contents
//   -> everything derived, made once more beside the old and compared
//
// Nothing in the home changes without `rebuild`, but for a folder derived.fsck that is gone at the end. With it damaged rows and packs are dropped, feeds end
// at their last whole entry (later ones are kept aside), own feeds get their heads again, and the new derived store takes the old one's place. Of a truth that
// LMDB cannot read what is whole is put into a new one first, and the ruined one is kept as truth.ruined. What then lacks
// comes back from other nodes when the daemon runs. Not here: asking other nodes. Threads: one, and no other may run
// yet (child processes). Memory: some bytes for each pack, entry and record; never a content. Texts name ids, addresses and types, never documents' or persons'
// names.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "node/home.h"

namespace dozo::node {

/// What a finding is about.
enum class FsckKind : std::uint8_t {
  environment,  ///< LMDB's own pages
  root,         ///< of the truth: what it counts and hashes
  row,          ///< breaks its own check; which table is in the text
  document,     ///< of the authority
  feed,         ///< an entry, an end, a head
  subtree,      ///< a feed's hashes
  pack_list,
  pack,
  pack_count,  ///< which packs a library has
  record,
  content,
  index,  ///< of pieces
  history,
};
std::string_view name_of(FsckKind kind);

enum class FsckState : std::uint8_t {
  note,     ///< no damage: worth knowing
  damaged,  ///< and it is still
  mended,   ///< was damaged; made good from what is here
  dropped,  ///< was damaged; taken out, to come back from other nodes
};
std::string_view name_of(FsckState state);

struct Finding {
  FsckKind kind{};
  FsckState state{};
  std::string text;  ///< one line
};

struct FsckReport {
  static constexpr std::size_t findings_most = 1000;
  std::vector<Finding> findings;  ///< in the order in which they were found, the first of them; each damage that is left is counted below
  std::uint64_t findings_left_out{};
  std::uint64_t damaged{};  ///< still
  std::uint64_t documents{}, feeds{}, entries{}, packs{}, pack_bytes{}, pieces{}, records{}, contents{}, content_bytes{}, commits{};
  bool opened{};  ///< keys were used: packs, records, contents and what is derived were looked at too
  bool sound() const { return damaged == 0; }
};

struct FsckProgress {
  std::string_view step;                 ///< "packs"
  std::uint64_t bytes{}, bytes_total{};  ///< 0: not counted in this step
};

struct FsckOptions {
  bool rebuild{};  ///< needs keys
  std::int64_t wall_ms{};
  std::function<void(const FsckProgress&)> progress;
};

/// Takes the home's lock. Without `keys` only what can be seen without any: no seal is opened, nothing is derived. Faults: unavailable (a daemon runs; disk
/// full), denied (permissions; rebuild without keys), unsupported (a newer store). Damage is in the report.
Result<FsckReport> fsck(const Home& home, const HomeKeys* keys, const FsckOptions& options);

}  // namespace dozo::node

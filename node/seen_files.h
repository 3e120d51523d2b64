// Seen files: which files of this machine were saved as what, so that a save need not read again what has not changed.
//
// A file counts as unchanged while its place, device, inode, size, mode and both its times are those that it was saved with, and the library shows at its
// target what it was saved as. What had changed just before it was read is not kept: the times of some file systems move in steps of two seconds. All else
// believes the file system, as other backup programs do: who sets times back as well, or writes on into a mapped page whose change was noted before,
// deceives it (put --reread).
// The rows hold keyed hashes alone, and follow from nothing: without them all is read again.
// Threads: any. `derived` and `local` outlive it.
#pragma once
#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "crypto/local_seal.h"
#include "node/disk_source.h"
#include "store/kv.h"
#include "store/record.h"

namespace dozo::node {

class SeenFiles {
 public:
  using Mark = FixedBytes<16, struct SeenMarkTag>;
  struct Row {
    FixedBytes<16, struct SeenFileTag> key;
    Mark mark;
  };

  SeenFiles(store::Kv& derived, const crypto::LocalKey& local) : derived_(derived), local_(local) {}

  static constexpr std::int64_t settled_ns = 3'000'000'000;
  /// Whether a file that is in this state now, by this machine's clock, may be known by it later.
  static bool is_settled(const FileState& state, std::int64_t now_ns) { return std::max(state.modified_ns, state.changed_ns) <= now_ns - settled_ns; }

  /// `path`: absolute.
  Row row_of(const LibraryId& library, const std::string& path, const FileState& state, const store::ContentValue& saved) const;
  /// What was kept last of each of these files; nothing: it was not seen. Faults: the store's.
  Result<std::vector<std::optional<Mark>>> marks(const LibraryId& library, std::span<const std::string> paths) const;
  /// In transactions of its own. Faults: the store's.
  Result<void> keep(std::span<const Row> rows) const;

 private:
  store::Kv& derived_;
  const crypto::LocalKey& local_;
};

}  // namespace dozo::node

// Disk source: files, symlinks and folders of this machine, as they are read for a save.
//
// Never follows a symlink, of a folder on the way neither; nothing but files, symlinks and folders is taken. A folder is an item of its own only where
// it is empty.
// Threads: one owner.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "node/descriptor.h"
#include "store/ingest.h"

namespace dozo::node {

/// What tells a file from what it was before: nearly every change leaves a trace in one of these (seen_files.h says which do not).
struct FileState {
  std::uint64_t device{}, inode{}, size_bytes{};
  std::uint32_t mode{};
  std::int64_t modified_ns{}, changed_ns{};
};

/// A folder in which many things are opened, one after the other: the folders on the way to the last one stay open, so that its neighbours need no way from the
/// top. What is reached through them lay there when they were opened.
class DiskFolder {
 public:
  /// A file or symlink alone is its own source.
  explicit DiskFolder(std::string source) : source_(std::move(source)) {}

 private:
  friend class DiskSource;
  struct Step {
    std::string name;
    Descriptor folder;
  };
  /// In which the last name of `below` lies. -1: errno says why.
  int parent_of(std::string_view below);
  std::string source_;
  std::vector<Step> steps_;  ///< of the source, and of the folders below it on the way
};

/// One open file, or the target of a symlink.
class DiskSource final : public store::ContentSource {
 public:
  /// What lies at `below` in the folder, or its source itself where `below` is empty. Must be a regular file or a symlink now, and no folder from the
  /// source down a symlink. Faults: not_found, denied (no permission), malformed (another kind of thing), unavailable.
  static Result<DiskSource> open(DiskFolder& folder, const std::string& below = {});
  DiskSource(DiskSource&& other) noexcept;
  DiskSource& operator=(DiskSource&&) = delete;
  ~DiskSource() override;

  const store::ContentTraits& traits() const { return traits_; }
  const FileState& state() const { return state_; }  ///< of a file, when it was opened
  Result<std::size_t> read(ByteSpan to) override;
  std::optional<std::uint64_t> size_hint() const override { return state_.size_bytes; }
  Result<bool> changed_meanwhile() override;

 private:
  DiskSource() = default;
  static Result<DiskSource> open_in(int parent, const char* name, const std::string& path);
  int file_ = -1;
  store::ContentTraits traits_;
  std::string target_;  ///< of a symlink
  std::size_t given_ = 0;
  FileState state_;
};

struct DiskItem {
  std::string path;  ///< below the source, with '/' between names; "" where the source itself is a file
  store::ContentKind kind{};
  FileState state;
};
/// False: stop.
using VisitItem = std::function<Result<bool>(const DiskItem&)>;
/// What could not be taken, and why, in one line that names it.
using Skip = std::function<void(std::string)>;

/// Visits what lies at `source` (a file, a symlink or a folder), in byte order of names. `exclude`: globs (fnmatch) over a name or the path below the source.
/// Faults: not_found, denied (the source itself), those of `visit`. What lies below and cannot be read, or has more than `parts_most` names in its path, is
/// skipped: such a folder as a whole, with one line.
Result<void> walk_disk(const std::string& source, const std::vector<std::string>& exclude, std::size_t parts_most, const VisitItem& visit, const Skip& skip);

/// The text of an errno as people say it, and the fault that it is.
Error disk_error(int number, const std::string& what);

}  // namespace dozo::node

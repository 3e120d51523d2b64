// Write out: documents as files, links and folders of this machine: what `get` and `export` have in common.
//
// A file is written under a temporary name first, and its SHA-256 is checked as it comes. Nothing is written through a symlink that lies there.
// Not here: archives (tar.h).
// Threads: one.
#pragma once
#include <ctime>

#include <array>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "tools/command.h"

namespace dozo::tools {

/// What errno says of `what`: "write a/b: No space left on device".
std::unexpected<Error> failed(std::string_view doing, const std::string& what);

Result<void> write_all(int descriptor, ByteView bytes, const std::string& name);

/// For utimensat and its like: the access time stays.
std::array<timespec, 2> times_of(std::int64_t modified_ns);

/// A file that `fill` writes, first beside it under a hidden name: `target` is there whole or, after a failure, as it was. `force`: in place of a file or link
/// that is there. Faults: exists, denied, unavailable (the disk is full or fails, or the system is short of files or memory), those of `fill`.
Result<void> write_beside(const std::string& target, bool force, const std::function<Result<void>(int descriptor)>& fill);
/// rename(2) to a name that is not taken, else EEXIST; where the file system cannot do both in one (NFS), looked for just before.
int rename_new(const std::string& from, const std::string& to);
/// The permissions of a new file, as this user's umask has it.
mode_t new_file_mode(bool executable);

/// One document, a file or a symlink, with its times and executable bit. `force`: in place of a file or link that is there. Faults: exists, corrupt (it is not
/// what was saved), denied, unavailable (the disk is full or fails, or the system is short of files or memory), those of ask.
Result<void> write_document(const Common& common, const Place& place, const node::local::ListRow& row, const std::string& target, bool force);

struct Written {
  std::uint64_t files{}, links{}, folders{}, bytes{};  ///< folders: with a document of their own, such as empty ones
};
/// Says how far it is, after each document.
using OnWritten = std::function<void(const Written& until_now)>;

/// Counts a document that was written.
void count(Written& to, const node::local::ListRow& row);
/// Where a row of `place` belongs below it. "": it is the place itself.
std::string path_below(const Place& place, const node::local::ListRow& row);

/// All in the folder `place`, below `target`, which is made where it is missing and there is something to write. Faults: those of write_document.
Result<Written> write_folder(const Common& common, const Place& place, const std::string& target, bool force, const OnWritten& each = {});

}  // namespace dozo::tools

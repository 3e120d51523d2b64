#include "tools/write_out.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "crypto/hash.h"
#include "tools/documents.h"

namespace dozo::tools {

namespace local = node::local;

namespace {

Fault fault_of(int error) {
  switch (error) {
    case EEXIST: return Fault::exists;
    case ENOSPC:  // what the machine lacks now, it may have the next time
    case EDQUOT:
    case EIO:
    case EMFILE:
    case ENFILE:
    case ENOMEM: return Fault::unavailable;
    default: return Fault::denied;
  }
}

}  // namespace

std::unexpected<Error> failed(std::string_view doing, const std::string& what) {
  const Fault fault = fault_of(errno);
  return fail(fault, std::string(doing) + " " + shown(what) + ": " + std::strerror(errno));
}

Result<void> write_all(int descriptor, ByteView bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR && Interruptible::was_interrupted()) return fail(Fault::unavailable, "interrupted while writing " + shown(name));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failed("write", name);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

std::array<timespec, 2> times_of(std::int64_t modified_ns) {
  // Before 1970 too the nanoseconds count forward.
  const std::int64_t below_s = (modified_ns % 1'000'000'000 + 1'000'000'000) % 1'000'000'000;
  return {timespec{0, UTIME_OMIT}, timespec{(modified_ns - below_s) / 1'000'000'000, below_s}};
}

mode_t new_file_mode(bool executable) {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return (executable ? 0777 : 0666) & ~mask;
}

int rename_new(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL) return -1;
  struct stat there{};
  if (::lstat(to.c_str(), &there) != 0) return ::rename(from.c_str(), to.c_str());
  errno = EEXIST;
  return -1;
}

Result<void> write_beside(const std::string& target, bool force, const std::function<Result<void>(int descriptor)>& fill) {
  struct stat there{};
  if (::lstat(target.c_str(), &there) == 0) {
    if (!force) return fail(Fault::exists, shown(target) + " exists; use --force to replace it");
    if (!S_ISREG(there.st_mode) && !S_ISLNK(there.st_mode)) return fail(Fault::exists, shown(target) + " is in the way: it is neither a file nor a link");
  }
  std::string temporary = std::filesystem::path(target).parent_path().string();
  temporary += (temporary.empty() ? "" : "/") + std::string(".dozo-get-XXXXXX");
  const int descriptor = ::mkstemp(temporary.data());
  if (descriptor < 0) return failed("write beside", target);
  Result<void> done = fill(descriptor);
  if (::close(descriptor) != 0 && done) done = failed("write", target);
  const int renamed = !done ? 0 : force ? ::rename(temporary.c_str(), target.c_str()) : rename_new(temporary, target);
  if (done && renamed != 0) {
    if (errno == EEXIST)
      done = fail(Fault::exists, shown(target) + " exists; use --force to replace it");
    else
      done = failed("rename to", target);
  }
  if (!done) ::unlink(temporary.c_str());
  return done;
}

namespace {

Result<void> write_symlink(const Common& common, const Place& place, const local::ListRow& row, const std::string& target, bool force) {
  const std::string link = TRY(read_link(common, place.library, row));
  const auto stat = TRY(ask_for<local::Stat>(common, local::StatRequest{place.library, row.path, place.at}));
  if (force) ::unlink(target.c_str());
  if (::symlink(link.c_str(), target.c_str()) != 0) return failed("make link", target);
  const auto times = times_of(stat.modified_ns);
  ::utimensat(AT_FDCWD, target.c_str(), times.data(), AT_SYMLINK_NOFOLLOW);
  return {};
}

Result<void> write_file(const Common& common, const Place& place, const local::ListRow& row, const std::string& target, bool force) {
  return write_beside(target, force, [&](int descriptor) -> Result<void> {
    const auto stat = TRY(ask_for<local::Stat>(common, local::StatRequest{place.library, row.path, place.at}));
    TRY(read_content(common, place.library, row, [&](ByteView bytes) { return write_all(descriptor, bytes, target); }));
    ::fchmod(descriptor, new_file_mode(row.executable));
    const auto times = times_of(stat.modified_ns);
    ::futimens(descriptor, times.data());
    return {};
  });
}

/// The folder `below` under `top`, made where it is missing. What lies there as a symlink, perhaps from an earlier get, is never gone through: whoever may
/// write to the library could otherwise have files written anywhere.
Result<void> make_folders(const std::string& top, const std::string& below) {
  std::error_code code;
  if (!std::filesystem::create_directories(top, code) && code) {
    errno = code.value();
    return failed("make folder", top);
  }
  for (std::size_t end = 0; end < below.size();) {
    end = std::min(below.find('/', end + 1), below.size());
    const std::string folder = top + "/" + below.substr(0, end);
    if (::mkdir(folder.c_str(), 0777) == 0) continue;
    struct stat status{};
    if (errno != EEXIST) return failed("make folder", folder);
    if (::lstat(folder.c_str(), &status) != 0) return failed("make folder", folder);
    if (!S_ISDIR(status.st_mode)) return fail(Fault::exists, shown(folder) + " is in the way: it is no folder, and a folder of the library has that name");
  }
  return {};
}

}  // namespace

Result<void> write_document(const Common& common, const Place& place, const local::ListRow& row, const std::string& target, bool force) {
  return row.kind == "symlink" ? write_symlink(common, place, row, target, force) : write_file(common, place, row, target, force);
}

void count(Written& to, const local::ListRow& row) {
  ++(row.kind == "symlink" ? to.links : row.kind == "folder" ? to.folders : to.files);
  if (row.kind == "file") to.bytes += row.size;
}

std::string path_below(const Place& place, const local::ListRow& row) {
  // By names: the place may be spelt otherwise than it is shown.
  std::string out = row.path;
  if (!place.path.empty()) {
    for (auto left = std::ranges::count(place.path, '/') + 1; left > 0; --left) out.erase(0, std::min(out.find('/'), out.size() - 1) + 1);
  }
  while (out.ends_with("/")) out.pop_back();
  return out;
}

Result<Written> write_folder(const Common& common, const Place& place, const std::string& target, bool force, const OnWritten& each) {
  Written written;
  std::string made = "/";  // no folder of a library
  TRY(for_each_row(common, place, true, [&](const local::ListRow& row) -> Result<void> {
    const std::string below = path_below(place, row);
    const std::string folder = row.kind == "folder" ? below : below.substr(0, below.rfind('/') == std::string::npos ? 0 : below.rfind('/'));
    // The place itself, a document that came since it was looked for: `target` is its name, and no folder.
    const bool is_itself = below.empty() && row.kind != "folder";
    if (folder != made && !is_itself) TRY(make_folders(target, folder));
    made = folder;
    if (row.kind != "folder") TRY(write_document(common, place, row, target + (below.empty() ? "" : "/" + below), force));
    count(written, row);
    if (each) each(written);
    return {};
  }));
  return written;
}

}  // namespace dozo::tools

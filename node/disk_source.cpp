#include "node/disk_source.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>
#include <utility>

#include "node/descriptor.h"
#include "store/names.h"

namespace dozo::node {
namespace {

constexpr off_t read_ahead_bytes = 128 * 1024;  // as far the kernel reads ahead by itself

std::int64_t nanoseconds(const timespec& time) { return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec; }

struct CloseFolder {
  void operator()(DIR* folder) const noexcept { closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

/// A file's times move in the ticks of the system's clock: a change in the tick of the one before would leave no trace. So what has just changed is read
/// in the next tick at the earliest. A time from elsewhere, far ahead, is not waited for.
void until_next_tick(const timespec& changed) {
  for (int turn = 0; turn < 20; ++turn) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    const std::int64_t ahead_ns = nanoseconds(changed) - nanoseconds(now);
    if (ahead_ns < 0 || ahead_ns > 20'000'000) return;
    const timespec pause{0, 1'000'000};
    nanosleep(&pause, nullptr);
  }
}

/// A write changes a file's times when it begins, and bytes as long as it lasts: one under way would leave no trace either. File systems under which a
/// read may meet half a write (ext4, btrfs, tmpfs) look for data behind the lock that writes hold.
void until_written(int file) {
  static_cast<void>(lseek(file, 0, SEEK_DATA));
  static_cast<void>(lseek(file, 0, SEEK_SET));
}

std::optional<store::ContentKind> kind_of(mode_t mode) {
  if (S_ISREG(mode)) return store::ContentKind::file;
  if (S_ISLNK(mode)) return store::ContentKind::symlink;
  if (S_ISDIR(mode)) return store::ContentKind::dir;
  return std::nullopt;
}

FileState state_of(const struct stat& status) {
  return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size), status.st_mode, nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
}

class Walk {
 public:
  Walk(const std::string& source, const std::vector<std::string>& exclude, std::size_t parts_most, const VisitItem& visit, const Skip& skip)
      : source_(source), exclude_(exclude), parts_most_(parts_most), visit_(visit), skip_(skip) {}

  Result<bool> folder(int parent, const std::string& name, const std::string& path, std::size_t depth) {
    const int opened = openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (opened < 0) return skipped(path, errno);
    Folder folder(fdopendir(opened));
    if (!folder) {
      const int number = errno;
      close(opened);
      return skipped(path, number);
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(folder.get())) {
      const std::string_view found = entry->d_name;
      if (found != "." && found != "..") names.emplace_back(found);
    }
    if (errno != 0) return skipped(path, errno);
    std::ranges::sort(names);
    bool any = false;
    for (const std::string& below : names) {
      const std::string its_path = path.empty() ? below : path + "/" + below;
      if (is_excluded(below, its_path)) continue;
      any = true;
      if (depth >= parts_most_) {
        skip_("a folder that lies too deep: a path has at most " + std::to_string(store::path_parts_most) +
              " parts; it and what is in it is not saved: " + path);
        return true;
      }
      if (!store::good_path(its_path)) {
        skip_("a path longer than " + std::to_string(store::path_bytes_most) + " bytes: " + its_path);
        continue;
      }
      if (!TRY(item(dirfd(folder.get()), below, its_path, depth))) return false;
    }
    if (any || path.empty()) return true;
    return visit_({path, store::ContentKind::dir, {}});
  }

  Result<bool> item(int parent, const std::string& name, const std::string& path, std::size_t depth) {
    struct stat status{};
    if (fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return skipped(path, errno);
    const auto kind = kind_of(status.st_mode);
    if (!kind) {
      skip_("neither file, symlink nor folder: " + path);
      return true;
    }
    if (*kind != store::ContentKind::dir) return visit_({path, *kind, state_of(status)});
    return folder(parent, name, path, depth + 1);
  }

 private:
  Result<bool> skipped(const std::string& path, int number) {
    skip_(disk_error(number, path.empty() ? source_ : path).text);
    return true;
  }
  bool is_excluded(const std::string& name, const std::string& path) const {
    return std::ranges::any_of(exclude_, [&](const std::string& glob) {
      return fnmatch(glob.c_str(), name.c_str(), 0) == 0 || fnmatch(glob.c_str(), path.c_str(), FNM_PATHNAME) == 0;
    });
  }

  const std::string& source_;
  const std::vector<std::string>& exclude_;
  std::size_t parts_most_;
  const VisitItem& visit_;
  const Skip& skip_;
};

}  // namespace

Error disk_error(int number, const std::string& what) {
  Fault fault = Fault::denied;  // a thing that cannot be read; the next one may
  if (number == ENOENT || number == ENOTDIR) fault = Fault::not_found;

  return {fault, std::string(std::strerror(number)) + ": " + what};
}

int DiskFolder::parent_of(std::string_view below) {
  // Step by step: between the walk and now any folder on the way may have become a symlink to somewhere else.
  std::size_t depth = 0;
  for (std::string_view step = source_, rest = below;; ++depth) {
    if (depth == steps_.size() || steps_[depth].name != step) {
      steps_.erase(steps_.begin() + static_cast<std::ptrdiff_t>(depth), steps_.end());
      std::string name(step);
      const int parent = depth == 0 ? AT_FDCWD : steps_.back().folder.get();
      const int opened = openat(parent, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (opened < 0) return -1;
      steps_.push_back({std::move(name), Descriptor(opened)});
    }
    const std::size_t slash = rest.find('/');
    if (slash == std::string_view::npos) break;
    step = rest.substr(0, slash);
    rest.remove_prefix(slash + 1);
  }
  steps_.erase(steps_.begin() + static_cast<std::ptrdiff_t>(depth) + 1, steps_.end());
  return steps_.back().folder.get();
}

Result<DiskSource> DiskSource::open(DiskFolder& folder, const std::string& below) {
  if (below.empty()) return open_in(AT_FDCWD, folder.source_.c_str(), folder.source_);
  const std::string path = folder.source_ + "/" + below;
  const std::size_t slash = below.rfind('/');
  const char* name = below.c_str() + (slash == std::string::npos ? 0 : slash + 1);
  const auto reach = [&]() -> Result<DiskSource> {
    const int parent = folder.parent_of(below);
    return parent < 0 ? std::unexpected(disk_error(errno, path)) : open_in(parent, name, path);
  };
  const bool kept = !folder.steps_.empty();
  Result<DiskSource> out = reach();
  if (out || !kept) return out;
  folder.steps_.clear();  // a folder that was kept open may be another one by now
  return reach();
}

Result<DiskSource> DiskSource::open_in(int parent, const char* name, const std::string& path) {
  struct stat status{};
  DiskSource out;
  out.file_ = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (out.file_ < 0 && errno != ELOOP) return std::unexpected(disk_error(errno, path));
  if (out.file_ < 0) {
    if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return std::unexpected(disk_error(errno, path));
    if (!S_ISLNK(status.st_mode)) return fail(Fault::malformed, "changed into another kind of thing: " + path);
    out.target_.resize(store::symlink_bytes_most + 1);
    const ssize_t length = readlinkat(parent, name, out.target_.data(), out.target_.size());
    if (length < 0) return std::unexpected(disk_error(errno, path));
    out.target_.resize(static_cast<std::size_t>(length));
    out.traits_ = {store::ContentKind::symlink, 0, nanoseconds(status.st_mtim), ""};
    out.state_.size_bytes = out.target_.size();
    return out;
  }
  if (fstat(out.file_, &status) != 0) return std::unexpected(disk_error(errno, path));
  until_next_tick(status.st_ctim);
  if (!S_ISREG(status.st_mode)) return fail(Fault::malformed, "changed into another kind of thing: " + path);
  until_written(out.file_);
  struct stat written{};
  if (fstat(out.file_, &written) != 0) return std::unexpected(disk_error(errno, path));
  // Of the same times: as that write left it. Others have come since: they will be noticed.
  if (nanoseconds(written.st_mtim) == nanoseconds(status.st_mtim) && nanoseconds(written.st_ctim) == nanoseconds(status.st_ctim)) status = written;
  if (status.st_size > read_ahead_bytes) posix_fadvise(out.file_, 0, 0, POSIX_FADV_SEQUENTIAL);
  out.traits_ = {store::ContentKind::file, static_cast<std::uint16_t>(status.st_mode & store::mode_bits), nanoseconds(status.st_mtim), ""};
  out.state_ = state_of(status);
  return out;
}

DiskSource::DiskSource(DiskSource&& other) noexcept
    : file_(std::exchange(other.file_, -1)), traits_(std::move(other.traits_)), target_(std::move(other.target_)), given_(other.given_), state_(other.state_) {}

DiskSource::~DiskSource() {
  if (file_ >= 0) close(file_);
}

Result<std::size_t> DiskSource::read(ByteSpan to) {
  if (file_ < 0) {
    const std::size_t count = std::min(to.size(), target_.size() - given_);
    std::memcpy(to.data(), target_.data() + given_, count);
    given_ += count;
    return count;
  }
  for (;;) {
    const ssize_t count = ::read(file_, to.data(), to.size());
    if (count >= 0) {
      given_ += static_cast<std::size_t>(count);
      return static_cast<std::size_t>(count);
    }
    if (errno != EINTR) return std::unexpected(disk_error(errno, "while it was read"));
  }
}

Result<bool> DiskSource::changed_meanwhile() {
  if (file_ < 0) return false;
  struct stat status{};
  if (fstat(file_, &status) != 0) return std::unexpected(disk_error(errno, "while it was read"));
  return static_cast<std::uint64_t>(status.st_size) != given_ || nanoseconds(status.st_mtim) != state_.modified_ns ||
         nanoseconds(status.st_ctim) != state_.changed_ns;
}

Result<void> walk_disk(const std::string& source, const std::vector<std::string>& exclude, std::size_t parts_most, const VisitItem& visit, const Skip& skip) {
  struct stat status{};
  if (lstat(source.c_str(), &status) != 0) return std::unexpected(disk_error(errno, source));
  const auto kind = kind_of(status.st_mode);
  if (!kind) return fail(Fault::malformed, "neither file, symlink nor folder: " + source);
  Walk walk(source, exclude, parts_most, visit, skip);
  if (*kind == store::ContentKind::dir) {
    if (access(source.c_str(), R_OK | X_OK) != 0) return std::unexpected(disk_error(errno, source));
    TRY(walk.folder(AT_FDCWD, source, "", 0));
    return {};
  }
  TRY(visit({"", *kind, state_of(status)}));
  return {};
}

}  // namespace dozo::node

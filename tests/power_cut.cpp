// Power cut: a library that is loaded before a program (LD_PRELOAD) and makes its disk forget, as a disk does when the power goes.
//
// Files below DOZO_POWER_ROOT are watched. Until fsync or fdatasync what is written to them is remembered with the bytes that stood there before. At the
// call that DOZO_POWER_AT numbers (from 1) the power goes: of what was not synced each sector of 512 bytes either stays or is as it was before, by the dice of
// DOZO_POWER_SEED; files grow or not; files that were made, renamed or removed in a folder that was not synced since are there or not; and the
// process is killed. DOZO_POWER_COUNT names a file that takes a byte for each call. With DOZO_POWER_DEAF nothing is ever taken as synced: a disk that lies.
//
// What it is not: an order of writes. A disk may keep a later write and lose an earlier one, and so does this.
// Threads: any; one lock around each call that changes something.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr std::size_t sector_bytes = 512;

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));  // NOLINT
}

struct Written {
  off_t at{};
  std::string before;  ///< as far as the file reached
  std::size_t size{};
};
struct File {
  std::vector<Written> written;  ///< since the last sync
  off_t size_synced{};
};
/// Of names in one folder, since that was synced.
struct Renamed {
  std::string from, to, kept;  ///< `kept`: what stood at `to`, by another name; empty: nothing
};
struct Names {
  std::set<std::string> made;
  std::vector<Renamed> renamed;
  std::vector<std::pair<std::string, std::string>> removed;  ///< path, and where it is kept
};

class Disk {
 public:
  static Disk& the() {
    static Disk* const disk = new Disk;  // never destroyed: threads outlive main
    return *disk;
  }

  bool watches(const std::string& path) const { return !root_.empty() && path.starts_with(root_); }
  std::string path_of(int fd) const {
    char path[4096];
    const ssize_t length = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path);
    return length > 0 ? std::string(path, static_cast<std::size_t>(length)) : std::string();
  }
  static std::string whole(int folder, const char* path) {
    if (path[0] == '/') return path;
    char base[4096];
    const ssize_t length = folder == AT_FDCWD ? (getcwd(base, sizeof base) != nullptr ? static_cast<ssize_t>(std::strlen(base)) : 0)
                                              : readlink(("/proc/self/fd/" + std::to_string(folder)).c_str(), base, sizeof base);
    return std::string(base, static_cast<std::size_t>(std::max<ssize_t>(length, 0))) + '/' + path;
  }

  /// Each call that changes something comes here first.
  void count() {
    ++calls_;
    if (at_ != 0 && calls_ == at_) cut();
    if (count_file_.empty()) return;
    static const auto real_open = next<int (*)(const char*, int, ...)>("open");
    static const auto real_write = next<ssize_t (*)(int, const void*, size_t)>("write");
    if (count_fd_ < 0) count_fd_ = real_open(count_file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    real_write(count_fd_, ".", 1);
  }

  void before_write(int fd, off_t at, std::size_t size) {
    const std::string path = path_of(fd);
    if (!watches(path)) return;
    count();
    File& file = this->file(path, fd);
    Written& it = file.written.emplace_back(Written{at, std::string(size, '\0'), size});
    static const auto real_pread = next<ssize_t (*)(int, void*, size_t, off_t)>("pread");
    const int reading = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);  // the other may be for writing alone
    const ssize_t got = reading < 0 ? 0 : real_pread(reading, it.before.data(), size, at);
    if (reading >= 0) ::close(reading);
    it.before.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (!deaf_ && (fcntl(fd, F_GETFL) & (O_DSYNC | O_SYNC)) != 0) durable_ = true;
  }
  /// A write to a file that was opened to be synced at each one is on the disk when it returns: it alone.
  void after_write(int fd) {
    if (!std::exchange(durable_, false)) return;
    const auto it = files_.find(path_of(fd));
    if (it == files_.end() || it->second.written.empty()) return;
    it->second.written.pop_back();
    struct stat now{};
    if (fstat(fd, &now) == 0) it->second.size_synced = std::max(it->second.size_synced, now.st_size);
  }
  void before_sync(int fd) {
    const std::string path = path_of(fd);
    if (watches(path)) count();
  }
  void after_sync(int fd) {
    const std::string path = path_of(fd);
    if (deaf_ || !watches(path)) return;
    struct stat now{};
    if (fstat(fd, &now) != 0) return;
    if (S_ISDIR(now.st_mode)) {
      folders_.erase(path);
      return;
    }
    File& file = this->file(path, fd);
    file.written.clear();
    file.size_synced = now.st_size;
  }
  void before_truncate(int fd, off_t size) {
    const std::string path = path_of(fd);
    if (!watches(path)) return;
    count();
    struct stat now{};
    if (fstat(fd, &now) != 0 || size >= now.st_size) return;
    before_write(fd, size, static_cast<std::size_t>(std::min<off_t>(now.st_size - size, 1 << 20)));
  }
  void made(const std::string& path) {
    if (!watches(path)) return;
    count();
    folders_[folder_of(path)].made.insert(path);
  }
  void renaming(const std::string& from, const std::string& to) {
    if (!watches(from) || !watches(to)) return;
    count();
    const std::string kept = keep(to);
    folders_[folder_of(to)].renamed.push_back({from, to, kept});
    if (const auto file = files_.find(from); file != files_.end()) {
      files_[to] = std::move(file->second);
      files_.erase(from);
    }
  }
  void removing(const std::string& path) {
    if (!watches(path)) return;
    count();
    folders_[folder_of(path)].removed.emplace_back(path, keep(path));
  }

  std::mutex mutex;

 private:
  Disk() {
    const auto text = [](const char* name) { return std::string(std::getenv(name) != nullptr ? std::getenv(name) : ""); };
    root_ = text("DOZO_POWER_ROOT");
    count_file_ = text("DOZO_POWER_COUNT");
    deaf_ = std::getenv("DOZO_POWER_DEAF") != nullptr;
    at_ = std::strtoull(text("DOZO_POWER_AT").c_str(), nullptr, 10);
    dice_.seed(std::strtoull(text("DOZO_POWER_SEED").c_str(), nullptr, 10));
  }
  File& file(const std::string& path, int fd) {
    const auto known = files_.find(path);
    if (known != files_.end()) return known->second;
    struct stat now{};
    File made;
    if (fstat(fd, &now) == 0) made.size_synced = now.st_size;
    return files_.emplace(path, std::move(made)).first->second;
  }
  static std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }
  /// Another name for what stands there, outside what is watched, so that it can come back.
  std::string keep(const std::string& path) {
    const std::string kept = root_ + ".power-" + std::to_string(getpid()) + "-" + std::to_string(++kept_);
    return link(path.c_str(), kept.c_str()) == 0 ? kept : std::string();
  }
  bool chance() { return (dice_() & 1U) != 0; }

  [[noreturn]] void cut() {
    static const auto real_open = next<int (*)(const char*, int, ...)>("open");
    static const auto real_pwrite = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
    static const auto real_truncate = next<int (*)(int, off_t)>("ftruncate");
    static const auto real_rename = next<int (*)(const char*, const char*)>("rename");
    static const auto real_unlink = next<int (*)(const char*)>("unlink");
    for (auto& [path, file] : files_) {
      if (file.written.empty()) continue;
      const int fd = real_open(path.c_str(), O_WRONLY | O_CLOEXEC);
      if (fd < 0) continue;
      const bool keeps_all = dice_() % 8 == 0, loses_all = dice_() % 8 == 0;
      for (auto it = file.written.rbegin(); it != file.written.rend(); ++it) {
        for (std::size_t from = 0; from < it->size;) {
          const std::size_t to = std::min(it->size, from + sector_bytes - static_cast<std::size_t>(it->at + static_cast<off_t>(from)) % sector_bytes);
          if (!keeps_all && (loses_all || chance())) {
            std::string bytes = from < it->before.size() ? it->before.substr(from, to - from) : std::string();
            bytes.resize(to - from, '\0');
            (void)!real_pwrite(fd, bytes.data(), bytes.size(), it->at + static_cast<off_t>(from));
          }
          from = to;
        }
      }
      if (!keeps_all && chance()) {
        struct stat now{};
        if (fstat(fd, &now) == 0 && now.st_size > file.size_synced) (void)!real_truncate(fd, file.size_synced);
      }
      close(fd);
    }
    for (auto& [folder, names] : folders_) {
      if (chance()) continue;  // the folder came to the disk by itself
      for (auto it = names.renamed.rbegin(); it != names.renamed.rend(); ++it) {
        real_rename(it->to.c_str(), it->from.c_str());
        if (!it->kept.empty()) real_rename(it->kept.c_str(), it->to.c_str());
      }
      for (const std::string& path : names.made) real_unlink(path.c_str());
      for (const auto& [path, kept] : names.removed) {
        if (!kept.empty()) real_rename(kept.c_str(), path.c_str());
      }
    }
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }

  std::string root_, count_file_;
  std::uint64_t at_ = 0, calls_ = 0;
  int count_fd_ = -1;
  unsigned kept_ = 0;
  bool durable_ = false, deaf_ = false;
  std::mt19937_64 dice_;
  std::map<std::string, File> files_;
  std::map<std::string, Names> folders_;
};

using Lock = std::lock_guard<std::mutex>;

template <class Function, class... Arguments>
auto around_write(const char* name, int fd, off_t at, std::size_t size, Arguments... arguments) {
  static const auto real = next<Function>(name);
  Disk& disk = Disk::the();
  const Lock lock(disk.mutex);
  disk.before_write(fd, at, size);
  const auto out = real(arguments...);
  disk.after_write(fd);
  return out;
}
/// Where a write goes; below 0: to no file, such as the pipe that a signal's handler writes to, which may have stopped a thread that has the lock.
off_t place_of(int fd) {
  struct stat it{};
  if (fstat(fd, &it) != 0 || !S_ISREG(it.st_mode)) return -1;
  return (fcntl(fd, F_GETFL) & O_APPEND) != 0 ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
}
std::size_t size_of(const iovec* parts, int count) {
  std::size_t out = 0;
  for (int i = 0; i < count; ++i) out += parts[i].iov_len;
  return out;
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* bytes, size_t size) {
  const off_t at = place_of(fd);
  if (at < 0) return next<ssize_t (*)(int, const void*, size_t)>("write")(fd, bytes, size);
  return around_write<ssize_t (*)(int, const void*, size_t)>("write", fd, at, size, fd, bytes, size);
}
ssize_t writev(int fd, const iovec* parts, int count) {
  const off_t at = place_of(fd);
  if (at < 0) return next<ssize_t (*)(int, const iovec*, int)>("writev")(fd, parts, count);
  return around_write<ssize_t (*)(int, const iovec*, int)>("writev", fd, at, size_of(parts, count), fd, parts, count);
}
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t at) {
  return around_write<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite", fd, at, size, fd, bytes, size, at);
}
ssize_t pwritev(int fd, const iovec* parts, int count, off_t at) {
  return around_write<ssize_t (*)(int, const iovec*, int, off_t)>("pwritev", fd, at, size_of(parts, count), fd, parts, count, at);
}

#define DOZO_SYNC(name)                                 \
  int name(int fd) {                                    \
    static const auto real = next<int (*)(int)>(#name); \
    Disk& disk = Disk::the();                           \
    const Lock lock(disk.mutex);                        \
    disk.before_sync(fd);                               \
    const int out = real(fd);                           \
    if (out == 0) disk.after_sync(fd);                  \
    return out;                                         \
  }
DOZO_SYNC(fsync)
DOZO_SYNC(fdatasync)
#undef DOZO_SYNC

int ftruncate(int fd, off_t size) {
  static const auto real = next<int (*)(int, off_t)>("ftruncate");
  Disk& disk = Disk::the();
  const Lock lock(disk.mutex);
  disk.before_truncate(fd, size);
  return real(fd, size);
}

int openat(int folder, const char* path, int flags, ...) {
  static const auto real = next<int (*)(int, const char*, int, ...)>("openat");
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  if ((flags & O_CREAT) == 0) return real(folder, path, flags, mode);
  Disk& disk = Disk::the();
  const Lock lock(disk.mutex);
  const std::string whole = Disk::whole(folder, path);
  const bool there = access(whole.c_str(), F_OK) == 0;
  const int out = real(folder, path, flags, mode);
  if (out >= 0 && !there) disk.made(whole);
  return out;
}
int open(const char* path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  return openat(AT_FDCWD, path, flags, mode);
}

// The same on a machine of 64 bits.
int open64(const char* path, int flags, ...) __attribute__((alias("open")));
int ftruncate64(int fd, off_t size) __attribute__((alias("ftruncate")));
ssize_t pwrite64(int fd, const void* bytes, size_t size, off_t at) __attribute__((alias("pwrite")));
ssize_t pwritev64(int fd, const iovec* parts, int count, off_t at) __attribute__((alias("pwritev")));

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  static const auto real = next<int (*)(int, const char*, int, const char*, unsigned)>("renameat2");
  Disk& disk = Disk::the();
  const Lock lock(disk.mutex);
  disk.renaming(Disk::whole(from_folder, from), Disk::whole(to_folder, to));
  return real(from_folder, from, to_folder, to, flags);
}
int rename(const char* from, const char* to) {
  static const auto real = next<int (*)(const char*, const char*)>("rename");
  Disk& disk = Disk::the();
  const Lock lock(disk.mutex);
  disk.renaming(Disk::whole(AT_FDCWD, from), Disk::whole(AT_FDCWD, to));
  return real(from, to);
}
int unlink(const char* path) {
  static const auto real = next<int (*)(const char*)>("unlink");
  Disk& disk = Disk::the();
  const Lock lock(disk.mutex);
  disk.removing(Disk::whole(AT_FDCWD, path));
  return real(path);
}

}  // extern "C"

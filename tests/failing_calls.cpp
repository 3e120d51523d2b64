// Failing calls: a library that is loaded before a program (LD_PRELOAD) and makes one call on its files fail, as a disk or a system does.
//
// The folder DOZO_FAIL_ROOT and all below it is watched (several with ':' between, each with a '/' at its end): what opens, reads, writes, syncs, makes,
// renames and removes there. Not: what goes by a mapping, closes, asks for a state, or happens within the C library. The call that DOZO_FAIL_AT numbers (from
// 1) fails with what may happen there, chosen by the dice of DOZO_FAIL_SEED: a disk that is full or does not read, no more open files, a write that ends
// half-way. With DOZO_FAIL_STAYS every later call of the same kind fails as well. DOZO_FAIL_COUNT and the process's number name a file that takes a byte for
// each watched call, DOZO_FAIL_SAID one that takes a line about each call that failed by its number.
//
// What it is not: a failing sync leaves what was written where it is. What a disk forgets then is tests/power_cut.cpp's.
// Threads: any; one lock around the count.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <mutex>
#include <random>
#include <string>
#include <vector>

namespace {

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));  // NOLINT
}

class Calls {
 public:
  static Calls& the() {
    static Calls* const calls = new Calls;  // never destroyed: threads outlive main
    return *calls;
  }

  /// The errno with which this call is to fail; 0: it is not. `may`: what is possible there.
  int failing(const char* name, const std::string& path, std::initializer_list<int> may) {
    if (!watches(path)) return 0;
    const std::lock_guard lock(mutex_);
    if (!count_file_.empty()) append(count_file_ + std::to_string(getpid()), ".");
    ++calls_;
    const bool now = at_ != 0 && calls_ == at_, again = stays_ && failed_ == name;
    if (!now && !again) return 0;
    if (now) failed_ = name, error_ = *(may.begin() + static_cast<std::ptrdiff_t>(dice_() % may.size()));
    if (now) append(said_file_, std::string(name) + " " + path + ": " + std::strerror(error_) + "\n");
    return error_;
  }
  int failing(const char* name, int fd, std::initializer_list<int> may) {
    char path[4096];
    const ssize_t length = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path);
    return length > 0 ? failing(name, std::string(path, static_cast<std::size_t>(length)), may) : 0;
  }
  int failing_at(const char* name, int folder, const char* path, std::initializer_list<int> may) {
    if (path[0] == '/') return failing(name, std::string(path), may);
    char base[4096];
    const ssize_t length = folder == AT_FDCWD ? (getcwd(base, sizeof base) != nullptr ? static_cast<ssize_t>(std::strlen(base)) : 0)
                                              : readlink(("/proc/self/fd/" + std::to_string(folder)).c_str(), base, sizeof base);
    return length > 0 ? failing(name, std::string(base, static_cast<std::size_t>(length)) + '/' + path, may) : 0;
  }

 private:
  Calls() {
    const auto text = [](const char* name) { return std::string(std::getenv(name) != nullptr ? std::getenv(name) : ""); };
    count_file_ = text("DOZO_FAIL_COUNT");
    said_file_ = text("DOZO_FAIL_SAID");
    stays_ = std::getenv("DOZO_FAIL_STAYS") != nullptr;
    at_ = std::strtoull(text("DOZO_FAIL_AT").c_str(), nullptr, 10);
    dice_.seed(std::strtoull(text("DOZO_FAIL_SEED").c_str(), nullptr, 10));
    const std::string roots = text("DOZO_FAIL_ROOT");
    for (std::size_t from = 0; from < roots.size();) {
      const std::size_t to = std::min(roots.find(':', from), roots.size());
      roots_.push_back(roots.substr(from, to - from));
      from = to + 1;
    }
  }
  bool watches(const std::string& path) const {
    for (const std::string& root : roots_)
      if (path.starts_with(root) || path + '/' == root) return true;
    return false;
  }
  static void append(const std::string& file, const std::string& text) {
    static const auto real_open = next<int (*)(const char*, int, ...)>("open");
    static const auto real_write = next<ssize_t (*)(int, const void*, size_t)>("write");
    if (file.empty()) return;
    const int before = errno, fd = real_open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    (void)!real_write(fd, text.data(), text.size());
    close(fd);
    errno = before;
  }

  std::mutex mutex_;
  std::vector<std::string> roots_;
  std::string count_file_, said_file_, failed_;
  bool stays_ = false;
  std::uint64_t at_ = 0, calls_ = 0;
  int error_ = 0;
  std::mt19937_64 dice_;
};

/// A write that fails at once, or after half of it: 0 stands for the latter.
template <class Function, class Half, class... Arguments>
ssize_t writing(const char* name, int fd, std::size_t size, const Half& half, Arguments... arguments) {
  static thread_local bool inside = false;  // a half is written by another of these
  const bool regular = [&] {
    struct stat it{};
    return fstat(fd, &it) == 0 && S_ISREG(it.st_mode);
  }();
  if (!inside && regular) {
    constexpr int half_way = -1;
    const int error = Calls::the().failing(name, fd, {ENOSPC, EIO, EDQUOT, half_way});
    if (error == half_way && size > 1) {
      inside = true;
      const ssize_t out = half(size / 2);
      inside = false;
      return out;
    }
    if (error != 0) return errno = error == half_way ? ENOSPC : error, -1;
  }
  return next<Function>(name)(arguments...);
}
/// Whether open has a mode after its flags. (O_TMPFILE has the bit of O_DIRECTORY in it.)
bool makes(int flags) { return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; }
std::size_t size_of(const iovec* parts, int count) {
  std::size_t out = 0;
  for (int i = 0; i < count; ++i) out += parts[i].iov_len;
  return out;
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* bytes, size_t size) {
  return writing<ssize_t (*)(int, const void*, size_t)>("write", fd, size, [&](std::size_t half) { return write(fd, bytes, half); }, fd, bytes, size);
}
ssize_t writev(int fd, const iovec* parts, int count) {
  return writing<ssize_t (*)(int, const iovec*, int)>(
      "writev", fd, size_of(parts, count), [&](std::size_t) { return write(fd, parts[0].iov_base, parts[0].iov_len / 2); }, fd, parts, count);
}
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t at) {
  return writing<ssize_t (*)(int, const void*, size_t, off_t)>(
      "pwrite", fd, size, [&](std::size_t half) { return pwrite(fd, bytes, half, at); }, fd, bytes, size, at);
}
ssize_t pwritev(int fd, const iovec* parts, int count, off_t at) {
  return writing<ssize_t (*)(int, const iovec*, int, off_t)>(
      "pwritev", fd, size_of(parts, count), [&](std::size_t) { return pwrite(fd, parts[0].iov_base, parts[0].iov_len / 2, at); }, fd, parts, count, at);
}

ssize_t read(int fd, void* bytes, size_t size) {
  if (const int error = Calls::the().failing("read", fd, {EIO})) return errno = error, -1;
  return next<ssize_t (*)(int, void*, size_t)>("read")(fd, bytes, size);
}
ssize_t pread(int fd, void* bytes, size_t size, off_t at) {
  if (const int error = Calls::the().failing("pread", fd, {EIO})) return errno = error, -1;
  return next<ssize_t (*)(int, void*, size_t, off_t)>("pread")(fd, bytes, size, at);
}

// Those of one descriptor and of one path.
#define DOZO_BY_FD(name, ...)                                                                       \
  int name(int fd) {                                                                                \
    if (const int error = Calls::the().failing(#name, fd, {__VA_ARGS__})) return errno = error, -1; \
    return next<int (*)(int)>(#name)(fd);                                                           \
  }
DOZO_BY_FD(fsync, EIO, ENOSPC, EDQUOT)
DOZO_BY_FD(fdatasync, EIO, ENOSPC, EDQUOT)
DOZO_BY_FD(syncfs, EIO)
#undef DOZO_BY_FD
#define DOZO_BY_PATH(name, ...)                                                                                    \
  int name(const char* path) {                                                                                     \
    if (const int error = Calls::the().failing_at(#name, AT_FDCWD, path, {__VA_ARGS__})) return errno = error, -1; \
    return next<int (*)(const char*)>(#name)(path);                                                                \
  }
DOZO_BY_PATH(unlink, EIO, ENOSPC)
DOZO_BY_PATH(rmdir, EIO)
#undef DOZO_BY_PATH

int ftruncate(int fd, off_t size) {
  if (const int error = Calls::the().failing("ftruncate", fd, {EIO, ENOSPC, EFBIG})) return errno = error, -1;
  return next<int (*)(int, off_t)>("ftruncate")(fd, size);
}
int mkdir(const char* path, mode_t mode) {
  if (const int error = Calls::the().failing_at("mkdir", AT_FDCWD, path, {ENOSPC, EIO, EDQUOT})) return errno = error, -1;
  return next<int (*)(const char*, mode_t)>("mkdir")(path, mode);
}
int symlink(const char* what, const char* path) {
  if (const int error = Calls::the().failing_at("symlink", AT_FDCWD, path, {ENOSPC, EIO, EDQUOT})) return errno = error, -1;
  return next<int (*)(const char*, const char*)>("symlink")(what, path);
}
int rename(const char* from, const char* to) {
  if (const int error = Calls::the().failing_at("rename", AT_FDCWD, to, {ENOSPC, EIO})) return errno = error, -1;
  return next<int (*)(const char*, const char*)>("rename")(from, to);
}
int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  if (const int error = Calls::the().failing_at("renameat2", to_folder, to, {ENOSPC, EIO})) return errno = error, -1;
  return next<int (*)(int, const char*, int, const char*, unsigned)>("renameat2")(from_folder, from, to_folder, to, flags);
}
DIR* fdopendir(int fd) {
  if (const int error = Calls::the().failing("fdopendir", fd, {ENOMEM})) return errno = error, nullptr;
  return next<DIR* (*)(int)>("fdopendir")(fd);
}
DIR* opendir(const char* path) {
  if (const int error = Calls::the().failing_at("opendir", AT_FDCWD, path, {EMFILE, EIO})) return errno = error, nullptr;
  return next<DIR* (*)(const char*)>("opendir")(path);
}

int openat(int folder, const char* path, int flags, ...) {
  mode_t mode = 0;
  if (makes(flags)) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  const int error = (flags & O_CREAT) != 0 ? Calls::the().failing_at("create", folder, path, {ENOSPC, EMFILE, ENFILE, EIO})
                                           : Calls::the().failing_at("open", folder, path, {EMFILE, ENFILE, EIO, ENOMEM});
  if (error != 0) return errno = error, -1;
  return next<int (*)(int, const char*, int, ...)>("openat")(folder, path, flags, mode);
}
int open(const char* path, int flags, ...) {
  mode_t mode = 0;
  if (makes(flags)) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  return openat(AT_FDCWD, path, flags, mode);
}

// The library's own calls to open are not seen from here.
int mkstemp(char* path) {
  if (const int error = Calls::the().failing_at("mkstemp", AT_FDCWD, path, {ENOSPC, EMFILE, EIO})) return errno = error, -1;
  return next<int (*)(char*)>("mkstemp")(path);
}
char* mkdtemp(char* path) {
  if (const int error = Calls::the().failing_at("mkdtemp", AT_FDCWD, path, {ENOSPC, EIO})) return errno = error, nullptr;
  return next<char* (*)(char*)>("mkdtemp")(path);
}

// The same on a machine of 64 bits.
int open64(const char* path, int flags, ...) __attribute__((alias("open")));
int openat64(int folder, const char* path, int flags, ...) __attribute__((alias("openat")));
int ftruncate64(int fd, off_t size) __attribute__((alias("ftruncate")));
ssize_t pread64(int fd, void* bytes, size_t size, off_t at) __attribute__((alias("pread")));
ssize_t pwrite64(int fd, const void* bytes, size_t size, off_t at) __attribute__((alias("pwrite")));
ssize_t pwritev64(int fd, const iovec* parts, int count, off_t at) __attribute__((alias("pwritev")));

}  // extern "C"

#include "tools/unpack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <utility>

#include "node/descriptor.h"
#include "store/names.h"
#include "tools/write_out.h"

namespace dozo::tools {
namespace {

constexpr std::size_t lines_most = 1000;
constexpr std::uint64_t item_bytes = 4096;  ///< what an item costs beside its content

class Unpacker {
 public:
  Unpacker(TarReader& from, const std::string& top, ProgressLine& line) : from_(from), top_path_(top), line_(line) {}

  Result<std::vector<std::string>> run() {
    top_.take(::open(top_path_.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct statvfs disk{};
    if (top_.get() < 0 || ::fstatvfs(top_.get(), &disk) != 0) return failed("open", top_path_);
    room_bytes_ = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize / 10 * 9;  // others need some, too
    while (const std::optional<TarItem> item = TRY(from_.next())) {
      TRY(not_interrupted());
      TRY(charge(item->size + item_bytes));
      TRY(take(*item));
      line_.show({++count_, bytes_, 0, 0});
    }
    return std::move(passed_over_);
  }

 private:
  // Each thing is taken, or `why` says why not.
  static Result<void> not_interrupted() {
    if (Interruptible::was_interrupted()) return fail(Fault::unavailable, "interrupted; nothing was saved");
    return {};
  }
  /// Also holes and what is there twice count, as all of it would be read and saved.
  Result<void> charge(std::uint64_t bytes) {
    if (bytes > room_bytes_)
      return fail(Fault::unavailable, "it has more in it than there is room for in " + shown(top_path_) + "; name another place with TMPDIR");
    room_bytes_ -= bytes;
    return {};
  }
  void pass_over(const std::string& why, const std::string& name) {
    if (passed_over_.size() < lines_most) passed_over_.push_back(why + ": " + store::cut(name, store::path_bytes_most));
    if (passed_over_.size() == lines_most) passed_over_.back() = "and more";
  }

  Result<void> take(const TarItem& item) {
    std::string why;
    const std::optional<std::string> path = cleaned(item.path, why);
    if (!path) {
      pass_over(why, item.path);
      return {};
    }
    if (path->empty()) return {};  // the top itself
    bool is_taken = false;
    switch (item.kind) {
      case TarItem::Kind::file: is_taken = TRY(file(item, *path, why)); break;
      case TarItem::Kind::symlink: is_taken = TRY(symlink(item, *path, why)); break;
      case TarItem::Kind::folder: is_taken = TRY(folder(*path, why)); break;
      case TarItem::Kind::hard_link: is_taken = TRY(hard_link(item, *path, why)); break;
      case TarItem::Kind::other: why = "neither file, symlink nor folder"; break;
    }
    if (!is_taken) pass_over(why, *path);
    return {};
  }

  /// The name as a path below the top, "" for the top itself.
  static std::optional<std::string> cleaned(const std::string& name, std::string& why) {
    std::string out;
    if (name.empty() || name.starts_with('/')) return why = name.empty() ? "it has no name" : "its name is absolute", std::nullopt;
    for (std::size_t begin = 0; begin < name.size();) {
      const std::size_t end = std::min(name.find('/', begin), name.size());
      const std::string part = name.substr(begin, end - begin);
      if (part == "..") return why = "its name leads upwards", std::nullopt;
      if (!part.empty() && part != ".") out += (out.empty() ? "" : "/") + part;
      begin = end + 1;
    }
    if (!out.empty() && !store::good_path(out)) return why = "its name is too long or lies too deep", std::nullopt;
    return out;
  }

  /// The folder that `path` lies in, made where it is missing; -1: something on the way is no folder. Links are never followed.
  Result<int> parent_of(const std::string& path, bool makes, std::string& why) {
    const std::size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash);
    if (folder.empty()) return top_.get();
    if (parent_.get() >= 0 && folder == parent_path_) return parent_.get();
    node::Descriptor at(::openat(top_.get(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    for (std::size_t begin = 0; begin < folder.size();) {
      const std::size_t end = std::min(folder.find('/', begin), folder.size());
      const std::string part = folder.substr(begin, end - begin);
      if (makes && ::mkdirat(at.get(), part.c_str(), 0700) == 0)
        TRY(charge(item_bytes));
      else if (makes && errno != EEXIST)
        return failed("make folder", folder.substr(0, end));
      const int next = ::openat(at.get(), part.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (next < 0 && (errno == ENOTDIR || errno == ELOOP || errno == ENOENT)) {
        why = "its name goes through " + folder.substr(0, end) + ", which is no folder";
        return -1;
      }
      if (next < 0) return failed("open", folder.substr(0, end));
      at.take(next);
      begin = end + 1;
    }
    parent_ = std::move(at);
    parent_path_ = folder;
    return parent_.get();
  }

  static std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

  /// What came earlier under that name goes. False: a folder with something in it does not.
  Result<bool> clear(int parent, const std::string& path, std::string& why) {
    const std::string name = name_of(path);
    if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return true;
    if (errno != EISDIR) return failed("replace", path);
    if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0) {
      if (path == parent_path_) forget_parent();
      return true;
    }
    if (errno != ENOTEMPTY && errno != EEXIST) return failed("replace", path);
    why = "a folder has that name, with something in it";
    return false;
  }
  void forget_parent() {
    parent_.take(-1);
    parent_path_.clear();
  }

  Result<bool> file(const TarItem& item, const std::string& path, std::string& why) {
    const int parent = TRY(parent_of(path, true, why));
    if (parent < 0 || !TRY(clear(parent, path, why))) return false;
    const node::Descriptor to(::openat(parent, name_of(path).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (to.get() < 0) return failed("write", path);
    while (const auto part = TRY(from_.read())) {
      TRY(not_interrupted());
      if (::lseek(to.get(), static_cast<off_t>(part->offset), SEEK_SET) < 0) return failed("write", path);
      TRY(write_all(to.get(), part->bytes, path));
      bytes_ += part->bytes.size();
      line_.show({count_, bytes_, 0, 0});
    }
    if (::ftruncate(to.get(), static_cast<off_t>(item.size)) != 0) return failed("write", path);
    if (::fchmod(to.get(), item.executable ? 0755 : 0644) != 0) return failed("write", path);
    const auto times = times_of(item.modified_ns);
    if (::futimens(to.get(), times.data()) != 0) return failed("set the time of", path);
    return true;
  }

  Result<bool> symlink(const TarItem& item, const std::string& path, std::string& why) {
    const int parent = TRY(parent_of(path, true, why));
    if (parent < 0) return false;
    if (!TRY(clear(parent, path, why))) return false;
    const std::string name = name_of(path);
    if (::symlinkat(item.link.c_str(), parent, name.c_str()) != 0) {
      if (errno == ENOENT || errno == ENAMETOOLONG) return why = "a link without a target, or with one that is too long", false;
      return failed("make link", path);
    }
    const auto times = times_of(item.modified_ns);
    if (::utimensat(parent, name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) return failed("set the time of", path);
    return true;
  }

  Result<bool> folder(const std::string& path, std::string& why) {
    const int parent = TRY(parent_of(path, true, why));
    if (parent < 0) return false;
    const std::string name = name_of(path);
    if (::mkdirat(parent, name.c_str(), 0700) == 0) return true;
    struct stat there{};
    if (errno != EEXIST || ::fstatat(parent, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0) return failed("make folder", path);
    if (S_ISDIR(there.st_mode)) return true;
    if (!TRY(clear(parent, path, why))) return false;
    if (::mkdirat(parent, name.c_str(), 0700) != 0) return failed("make folder", path);
    return true;
  }

  /// As a second name of the same file here; whoever saves it reads two files.
  Result<bool> hard_link(const TarItem& item, const std::string& path, std::string& why) {
    const std::optional<std::string> of = cleaned(item.link, why);
    if (of && *of == path) return true;
    const int their_parent = !of || of->empty() ? -1 : TRY(parent_of(*of, false, why));
    // Kept by itself, as the next question for a parent closes it.
    const node::Descriptor theirs(their_parent < 0 ? -1 : ::fcntl(their_parent, F_DUPFD_CLOEXEC, 0));
    struct stat there{};
    if (theirs.get() < 0 || ::fstatat(theirs.get(), name_of(*of).c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(there.st_mode)) {
      why = "a second name of what the archive does not have, " + store::cut(item.link, store::path_bytes_most);
      return false;
    }
    TRY(charge(static_cast<std::uint64_t>(there.st_size)));
    const int parent = TRY(parent_of(path, true, why));
    if (parent < 0 || !TRY(clear(parent, path, why))) return false;
    if (::linkat(theirs.get(), name_of(*of).c_str(), parent, name_of(path).c_str(), 0) == 0) return true;
    if (errno != EMLINK && errno != EPERM && errno != EOPNOTSUPP) return failed("write", path);
    why = "a second name of a file, of which there cannot be as many here";
    return false;
  }

  TarReader& from_;
  const std::string& top_path_;
  ProgressLine& line_;
  node::Descriptor top_, parent_;
  std::string parent_path_;  ///< of `parent_`
  std::uint64_t room_bytes_ = 0, bytes_ = 0, count_ = 0;
  std::vector<std::string> passed_over_;
};

}  // namespace

Result<PrivateFolder> PrivateFolder::make() {
  const char* const named = std::getenv("TMPDIR");
  std::error_code code;
  std::string path = std::filesystem::absolute(named != nullptr && *named != '\0' ? named : "/var/tmp", code).string() + "/dozo-import-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return failed("make folder", path);
  return PrivateFolder(std::move(path));
}

PrivateFolder::PrivateFolder(PrivateFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}

PrivateFolder::~PrivateFolder() {
  std::error_code code;
  if (!path_.empty()) std::filesystem::remove_all(path_, code);
  if (code) std::fprintf(stderr, "dozo: %s stays, with what was unpacked: %s\n", shown(path_).c_str(), code.message().c_str());
}

Result<std::vector<std::string>> unpack(TarReader& from, const PrivateFolder& to, ProgressLine& line) { return Unpacker(from, to.path(), line).run(); }

}  // namespace dozo::tools

#include "store/kv_lmdb_environment.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace dozo::store {

std::unexpected<Error> lmdb_failure(int code, std::string_view name, std::string_view doing) {
  const std::string text = std::string(name) + ": " + std::string(doing) + ": ";
  switch (code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return fail(Fault::unavailable, text + "the disk is full; make room and try again");
    case MDB_TXN_FULL: return fail(Fault::over_limit, text + "too much in one transaction");
    case MDB_READERS_FULL: return fail(Fault::unavailable, text + "too many readers at once");
    case ENOENT: return fail(Fault::not_found, text + "not there");
    case EACCES:
    case EPERM:
    case EROFS: return fail(Fault::denied, text + "no permission; does this user own the home?");
    case MDB_VERSION_MISMATCH:
    case MDB_INVALID: return fail(Fault::unsupported, text + "not a store that this version reads, or damaged where it begins (dozo fsck)");
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PAGE_FULL:    // "internal error": never of a store whose pages are what they were
    case MDB_CURSOR_FULL:  // likewise
    case MDB_PANIC:
    case MDB_BAD_DBI:
    case MDB_BAD_TXN:  // what was found before was bad enough to end the transaction
    case MDB_INCOMPATIBLE:
    case EIO: return fail(Fault::corrupt, text + mdb_strerror(code) + "; run dozo fsck");
    default: return fail(Fault::unavailable, text + mdb_strerror(code));
  }
}

// ---- one environment -----------------------------------------------------------------------------------------------------
namespace {

int open_tables(LmdbEnvironment& env, std::span<const std::string> tables, bool read_only) {
  MDB_txn* txn = nullptr;
  if (const int code = mdb_txn_begin(env.handle, nullptr, read_only ? MDB_RDONLY : 0U, &txn); code != 0) return code;
  for (const std::string& table : tables) {
    MDB_dbi dbi = 0;
    if (const int code = mdb_dbi_open(txn, table.c_str(), read_only ? 0U : MDB_CREATE, &dbi); code != 0) {
      mdb_txn_abort(txn);
      return code == MDB_NOTFOUND ? ENOENT : code;
    }
    env.tables.push_back(dbi);
  }
  return mdb_txn_commit(txn);
}

}  // namespace

Result<std::shared_ptr<LmdbEnvironment>> LmdbEnvironment::open(const std::string& path, const std::string& name, std::span<const std::string> tables,
                                                               const LmdbOptions& options, unsigned flags) {
  auto env = std::make_shared<LmdbEnvironment>(name, std::max(options.map_bytes_first, options.map_bytes_most));
  if (const int code = mdb_env_create(&env->handle); code != 0) return env->failure(code, "open");
  mdb_env_set_mapsize(env->handle, options.map_bytes_first);
  mdb_env_set_maxdbs(env->handle, static_cast<unsigned>(tables.size()));
  mdb_env_set_maxreaders(env->handle, 1024);
  flags |= MDB_NOTLS | (options.read_only ? MDB_RDONLY : 0U) | (options.last_may_be_lost ? MDB_NOMETASYNC : 0U);
  if (const int code = mdb_env_open(env->handle, path.c_str(), flags, 0600); code != 0) return env->failure(code, "open");
  int dead = 0;
  mdb_reader_check(env->handle, &dead);
  if (!options.read_only && (flags & MDB_NOSUBDIR) == 0) {
    if (const int code = sync_folder(path); code != 0) return env->failure(code, "open");
  }
  if (const int code = open_tables(*env, tables, options.read_only); code != 0) return env->failure(code, "open a table");
  return env;
}

LmdbEnvironment::~LmdbEnvironment() {
  if (handle != nullptr) mdb_env_close(handle);
}

std::unexpected<Error> LmdbEnvironment::failure(int code, std::string_view doing) {
  if (code != MDB_MAP_FULL) return lmdb_failure(code, name, doing);
  const std::lock_guard lock(mutex);
  map_was_full = true;
  return fail(Fault::unavailable, name + ": " + std::string(doing) +
                                      (map_bytes() < map_bytes_most ? ": the map is full; it grows at the next write, try again"
                                                                    : ": the store has reached its size limit; raise it or remove something"));
}

std::size_t LmdbEnvironment::map_bytes() const {
  MDB_envinfo info{};
  mdb_env_info(handle, &info);
  return info.me_mapsize;
}
std::size_t LmdbEnvironment::used_bytes() const {
  MDB_envinfo info{};
  MDB_stat stat{};
  mdb_env_info(handle, &info);
  mdb_env_stat(handle, &stat);
  return (info.me_last_pgno + 1) * stat.ms_psize;
}
std::size_t LmdbEnvironment::last_commit() const {
  MDB_envinfo info{};
  mdb_env_info(handle, &info);
  return info.me_last_txnid;
}

void LmdbEnvironment::drop_from_cache(std::size_t from) const {
  mdb_filehandle_t fd = -1;
  if (mdb_env_get_fd(handle, &fd) == 0) ::posix_fadvise(fd, static_cast<off_t>(from), static_cast<off_t>(used_bytes() - from), POSIX_FADV_DONTNEED);
}

void LmdbEnvironment::grow_when_needed() {
  const std::size_t now = map_bytes();
  if (!snapshots.empty() || now >= map_bytes_most || (!map_was_full && used_bytes() < now / 4 * 3)) return;
  if (mdb_env_set_mapsize(handle, std::min(now > map_bytes_most / 2 ? map_bytes_most : now * 2, map_bytes_most)) == 0) map_was_full = false;
}

// ---- folders -------------------------------------------------------------------------------------------------------------
namespace {

struct OpenFolders {
  std::mutex mutex;
  std::set<std::string> paths;
};
OpenFolders& open_folders() {
  static OpenFolders it;
  return it;
}

}  // namespace

std::unique_ptr<LmdbRegistration> LmdbRegistration::of(const std::string& path) {
  const std::lock_guard lock(open_folders().mutex);
  if (!open_folders().paths.insert(path).second) return nullptr;
  return std::unique_ptr<LmdbRegistration>(new LmdbRegistration(path));
}
LmdbRegistration::~LmdbRegistration() {
  const std::lock_guard lock(open_folders().mutex);
  open_folders().paths.erase(path_);
}

bool over_the_network(const std::filesystem::path& folder) {
  struct statfs it{};
  if (::statfs(folder.c_str(), &it) != 0) return false;
  switch (static_cast<unsigned long>(it.f_type) & 0xffffffffUL) {
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case CIFS_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
    case AFS_SUPER_MAGIC:
    case CODA_SUPER_MAGIC:
    case CEPH_SUPER_MAGIC: return true;
    default: return false;
  }
}

int sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int code = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return code;
}

int make_folder(const std::filesystem::path& folder) {
  if (::mkdir(folder.c_str(), 0700) == 0) return sync_folder(folder.parent_path().empty() ? "." : folder.parent_path());
  if (errno != EEXIST) return errno;
  struct stat it{};
  if (::stat(folder.c_str(), &it) != 0) return errno;
  if ((it.st_mode & 077) != 0 && ::chmod(folder.c_str(), 0700) != 0) return errno;
  return 0;
}

void remove_compacted(const std::string& folder) {
  std::error_code error;
  for (const char* file : {compacted_file, compacted_locks}) std::filesystem::remove(folder + file, error);
}

}  // namespace dozo::store

#include "store/kv_lmdb.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "base/invariant.h"

namespace dozo::store {
namespace {

MDB_val val(ByteView bytes) { return {bytes.size(), const_cast<std::uint8_t*>(bytes.data())}; }
ByteView view(const MDB_val& it) { return {static_cast<const std::uint8_t*>(it.mv_data), it.mv_size}; }

/// The folders that are open in this process: LMDB's locks break when one is opened twice.
struct OpenFolders {
  std::mutex mutex;
  std::set<std::string> paths;
};
OpenFolders& open_folders() {
  static OpenFolders it;
  return it;
}

struct Environment {
  std::string name;  ///< of the folder: "truth", "derived"
  std::string registered;
  MDB_env* handle = nullptr;
  std::vector<MDB_dbi> tables;
  std::size_t map_bytes_most = 0;

  std::mutex writing;                    ///< held by the write transaction
  std::mutex mutex;                      ///< for what follows, and for beginning: the map may grow only when no transaction is open
  std::thread::id writer;                ///< whoever holds `writing`
  std::multiset<std::size_t> snapshots;  ///< transaction ids of the open readers
  bool map_was_full = false;
  bool disk_failed = false;

  ~Environment() {
    if (handle != nullptr) mdb_env_close(handle);
    if (registered.empty()) return;
    const std::lock_guard lock(open_folders().mutex);
    open_folders().paths.erase(registered);
  }
  std::unexpected<Error> failure(int code, std::string_view doing) {
    const std::string text = name + ": " + std::string(doing) + ": ";
    switch (code) {
      case MDB_MAP_FULL: {
        const std::lock_guard lock(mutex);
        map_was_full = true;
        if (map_bytes() < map_bytes_most) return fail(Fault::unavailable, text + "the map is full; it grows at the next write, try again");
        return fail(Fault::unavailable, text + "the store has reached its size limit; raise it or remove something");
      }
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
      case MDB_PANIC:
      case MDB_BAD_DBI:
      case MDB_BAD_TXN:  // what was found before was bad enough to end the transaction
      case MDB_INCOMPATIBLE:
      case EIO: return fail(Fault::corrupt, text + mdb_strerror(code) + "; run dozo fsck");
      default: return fail(Fault::unavailable, text + mdb_strerror(code));
    }
  }
  std::size_t map_bytes() const {
    MDB_envinfo info{};
    mdb_env_info(handle, &info);
    return info.me_mapsize;
  }
  std::size_t used_bytes() const {
    MDB_envinfo info{};
    MDB_stat stat{};
    mdb_env_info(handle, &info);
    mdb_env_stat(handle, &stat);
    return (info.me_last_pgno + 1) * stat.ms_psize;
  }
  /// What lies in the file from there on need not stay in memory: it is on the disk already. Of the whole file only that, or the kernel would look through all
  /// of it.
  void drop_from_cache(std::size_t from) const {
    mdb_filehandle_t fd = -1;
    if (mdb_env_get_fd(handle, &fd) == 0) ::posix_fadvise(fd, static_cast<off_t>(from), static_cast<off_t>(used_bytes() - from), POSIX_FADV_DONTNEED);
  }
  /// Needs the mutex, and no write transaction.
  void grow_when_needed() {
    const std::size_t now = map_bytes();
    if (!snapshots.empty() || now >= map_bytes_most || (!map_was_full && used_bytes() < now / 4 * 3)) return;
    if (mdb_env_set_mapsize(handle, std::min(now > map_bytes_most / 2 ? map_bytes_most : now * 2, map_bytes_most)) == 0) map_was_full = false;
  }
};

class LmdbCursor;

class LmdbTransaction final : public WriteTransaction {
 public:
  LmdbTransaction(Environment& env, MDB_txn* txn, bool writes) : env_(env), txn_(txn), writes_(writes), id_(mdb_txn_id(txn)) {}
  ~LmdbTransaction() override;

  Result<std::optional<ByteView>> get(Table table, ByteView key) override {
    TRY(enter(key));
    MDB_val k = val(key), v{};
    const int code = mdb_get(txn_, dbi(table), &k, &v);
    if (code == MDB_NOTFOUND) return std::optional<ByteView>{};
    if (code != 0) return failure(code, "read");
    return std::optional<ByteView>{view(v)};
  }
  Result<std::unique_ptr<Cursor>> cursor(Table table) override;
  Result<std::uint64_t> count(Table table) override {
    TRY(enter());
    MDB_stat stat{};
    if (const int code = mdb_stat(txn_, dbi(table), &stat); code != 0) return failure(code, "count");
    return stat.ms_entries;
  }
  Result<void> put(Table table, ByteView key, ByteView value) override {
    MDB_val v = val(value);
    return put_value(table, key, v, 0);
  }
  Result<ByteSpan> reserve(Table table, ByteView key, std::size_t size) override {
    MDB_val v{size, nullptr};
    TRY(put_value(table, key, v, MDB_RESERVE));
    return ByteSpan(static_cast<std::uint8_t*>(v.mv_data), size);
  }
  Result<bool> erase(Table table, ByteView key) override {
    TRY(enter(key));
    ++write_count_;
    MDB_val k = val(key);
    const int code = mdb_del(txn_, dbi(table), &k, nullptr);
    if (code == MDB_NOTFOUND) return false;
    if (code != 0) return failure(code, "erase");
    return true;
  }
  void expect_no_reads() override { used_bytes_before_ = env_.used_bytes(); }
  Result<void> commit() override;

  // ---- for cursors ---------------------------------------------------------------------------------------------------
  Result<void> enter() {
    if (failed_) return std::unexpected(*failed_);
    INVARIANT(txn_ != nullptr);
    return {};
  }
  /// A fault in a write transaction is there to stay.
  std::unexpected<Error> failure(int code, std::string_view doing) {
    auto out = env_.failure(code, doing);
    if (writes_) failed_ = out.error();
    return out;
  }
  std::uint64_t write_count() const { return write_count_; }
  bool writes() const { return writes_; }
  void forget(LmdbCursor* cursor) { std::erase(cursors_, cursor); }

 private:
  Result<void> enter(ByteView key) {
    TRY(enter());
    const Result<void> good = check_key(key);
    if (!good && writes_) failed_ = good.error();
    return good;
  }
  MDB_dbi dbi(Table table) const {
    INVARIANT(table.number < env_.tables.size());
    return env_.tables[table.number];
  }
  Result<void> put_value(Table table, ByteView key, MDB_val& value, unsigned flags) {
    INVARIANT(writes_);
    TRY(enter(key));
    ++write_count_;
    MDB_val k = val(key);
    if (const int code = mdb_put(txn_, dbi(table), &k, &value, flags); code != 0) return failure(code, "write");
    return {};
  }
  void close_cursors();
  void ended();
  Environment& env_;
  MDB_txn* txn_;
  bool writes_;
  std::size_t id_;
  std::uint64_t write_count_ = 0;
  std::optional<std::size_t> used_bytes_before_;  ///< with expect_no_reads()
  std::optional<Error> failed_;
  std::vector<LmdbCursor*> cursors_;
};

class LmdbCursor final : public Cursor {
 public:
  LmdbCursor(LmdbTransaction& transaction, MDB_cursor* cursor) : transaction_(&transaction), cursor_(cursor) {}
  ~LmdbCursor() override {
    if (transaction_ != nullptr) transaction_->forget(this);
    close();
  }
  Result<bool> seek(ByteView key) override {
    if (key.empty()) return step(MDB_FIRST);
    key_ = val(key);
    return step(MDB_SET_RANGE);
  }
  Result<bool> seek_last_below(ByteView key) override {
    if (key.empty()) return placed_ = false;
    return TRY(seek(key)) ? step(MDB_PREV) : step(MDB_LAST);
  }
  Result<bool> next() override {
    if (!placed_) return false;
    if (!transaction().writes() || seen_writes_ == transaction().write_count()) return step(MDB_NEXT);
    // There were writes: the place is found again by its key, whatever became of that.
    const Bytes from = at_;
    if (!TRY(seek(from))) return false;
    return equal(key(), from) ? step(MDB_NEXT) : Result<bool>(true);
  }
  Result<bool> last() override { return step(MDB_LAST); }
  ByteView key() const override {
    INVARIANT(placed_ && cursor_ != nullptr);
    return view(key_);
  }
  ByteView value() const override {
    INVARIANT(placed_ && cursor_ != nullptr);
    return view(value_);
  }
  /// The transaction ends: nothing may be asked any more.
  void close() {
    if (cursor_ != nullptr) mdb_cursor_close(std::exchange(cursor_, nullptr));
    transaction_ = nullptr;
  }

 private:
  LmdbTransaction& transaction() const {
    INVARIANT(transaction_ != nullptr);
    return *transaction_;
  }
  Result<bool> step(MDB_cursor_op op) {
    TRY(transaction().enter());
    const int code = mdb_cursor_get(cursor_, &key_, &value_, op);
    placed_ = code == 0;
    if (code == MDB_NOTFOUND) return false;
    if (code != 0) return transaction().failure(code, "walk");
    if (transaction().writes()) {
      at_ = bytes_of(view(key_));
      seen_writes_ = transaction().write_count();
    }
    return true;
  }
  LmdbTransaction* transaction_;
  MDB_cursor* cursor_;
  bool placed_ = false;
  Bytes at_;
  std::uint64_t seen_writes_ = 0;
  MDB_val key_{}, value_{};
};

Result<std::unique_ptr<Cursor>> LmdbTransaction::cursor(Table table) {
  TRY(enter());
  MDB_cursor* cursor = nullptr;
  if (const int code = mdb_cursor_open(txn_, dbi(table), &cursor); code != 0) return failure(code, "walk");
  auto out = std::make_unique<LmdbCursor>(*this, cursor);
  cursors_.push_back(out.get());
  return std::unique_ptr<Cursor>(std::move(out));
}

void LmdbTransaction::close_cursors() {
  for (LmdbCursor* cursor : std::exchange(cursors_, {})) cursor->close();
}

Result<void> LmdbTransaction::commit() {
  INVARIANT(writes_);
  TRY(enter());
  close_cursors();
  errno = 0;
  int code = mdb_txn_commit(std::exchange(txn_, nullptr));
  // LMDB says EIO for a write that came back short, which is how a file system fills up; a device that failed sets errno too.
  if (code == EIO && errno == 0) code = ENOSPC;
  if (code == 0 && used_bytes_before_) env_.drop_from_cache(*used_bytes_before_);
  ended();
  if (code == 0) return {};
  if (code == EIO) {
    // What the kernel says after a failed sync is not to be trusted: nothing more is written until a new start.
    const std::lock_guard lock(env_.mutex);
    env_.disk_failed = true;
  }
  return env_.failure(code, "commit");
}

LmdbTransaction::~LmdbTransaction() {
  close_cursors();
  if (txn_ == nullptr) return;
  mdb_txn_abort(txn_);
  ended();
}

void LmdbTransaction::ended() {
  const std::lock_guard lock(env_.mutex);
  if (writes_) {
    env_.writer = {};
    env_.writing.unlock();
  } else {
    env_.snapshots.erase(env_.snapshots.find(id_));
  }
}

class LmdbKv final : public Kv {
 public:
  explicit LmdbKv(std::unique_ptr<Environment> env) : env_(std::move(env)) {}
  ~LmdbKv() override { INVARIANT(env_->snapshots.empty() && env_->writer == std::thread::id{}); }

  Result<std::unique_ptr<ReadTransaction>> read() override {
    std::unique_lock lock(env_->mutex);
    MDB_txn* txn = nullptr;
    if (const int code = mdb_txn_begin(env_->handle, nullptr, MDB_RDONLY, &txn); code != 0) {
      lock.unlock();
      return env_->failure(code, "begin");
    }
    auto out = std::make_unique<LmdbTransaction>(*env_, txn, false);
    env_->snapshots.insert(mdb_txn_id(txn));
    return std::unique_ptr<ReadTransaction>(std::move(out));
  }
  Result<std::unique_ptr<WriteTransaction>> write() override {
    {
      const std::lock_guard lock(env_->mutex);
      INVARIANT(env_->writer != std::this_thread::get_id());
    }
    env_->writing.lock();
    std::unique_lock lock(env_->mutex);
    MDB_txn* txn = nullptr;
    int code = EIO;
    if (!env_->disk_failed) {
      env_->grow_when_needed();
      code = mdb_txn_begin(env_->handle, nullptr, 0, &txn);
    }
    if (code != 0) {
      env_->writing.unlock();
      lock.unlock();
      return env_->failure(code, "begin");
    }
    env_->writer = std::this_thread::get_id();
    return std::unique_ptr<WriteTransaction>(std::make_unique<LmdbTransaction>(*env_, txn, true));
  }
  Result<KvStats> stats() override {
    const std::lock_guard lock(env_->mutex);
    int dead = 0;
    mdb_reader_check(env_->handle, &dead);
    MDB_envinfo info{};
    mdb_env_info(env_->handle, &info);
    KvStats out;
    out.used_bytes = env_->used_bytes();
    out.map_bytes = info.me_mapsize;
    out.readers = static_cast<std::uint32_t>(env_->snapshots.size());
    if (!env_->snapshots.empty()) out.oldest_reader_behind = info.me_last_txnid - std::min(info.me_last_txnid, *env_->snapshots.begin());
    return out;
  }

 private:
  std::unique_ptr<Environment> env_;
};

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

/// So that a new file's name survives a power cut.
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

int open_tables(Environment& env, std::span<const std::string> tables, bool read_only) {
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

Result<std::unique_ptr<Kv>> open_lmdb(const std::filesystem::path& folder, std::span<const std::string> tables, const LmdbOptions& options) {
  auto env = std::make_unique<Environment>();
  env->name = folder.filename().string();
  env->map_bytes_most = std::max(options.map_bytes_first, options.map_bytes_most);
  if (!options.read_only) {
    if (const int code = make_folder(folder); code != 0) return env->failure(code, "make the folder");
  }
  std::error_code error;
  const std::string path = std::filesystem::canonical(folder, error).string();
  if (error) return env->failure(error.value(), "open");
  // A first start that ended before anything was written: LMDB would write the beginning, and may not.
  if (options.read_only && std::filesystem::file_size(path + "/data.mdb", error) == 0 && !error)
    return fail(Fault::not_found, env->name + ": it was never begun");
  if (over_the_network(path)) return fail(Fault::denied, env->name + ": lies on a network file system; the store needs a local disk");
  {
    const std::lock_guard lock(open_folders().mutex);
    if (!open_folders().paths.insert(path).second) return fail(Fault::exists, env->name + ": open in this process already");
    env->registered = path;
  }
  if (const int code = mdb_env_create(&env->handle); code != 0) return env->failure(code, "open");
  mdb_env_set_mapsize(env->handle, options.map_bytes_first);
  mdb_env_set_maxdbs(env->handle, static_cast<unsigned>(tables.size()));
  mdb_env_set_maxreaders(env->handle, 1024);
  const unsigned flags = MDB_NOTLS | (options.read_only ? MDB_RDONLY : 0U) | (options.last_may_be_lost ? MDB_NOMETASYNC : 0U);
  if (const int code = mdb_env_open(env->handle, path.c_str(), flags, 0600); code != 0) return env->failure(code, "open");
  int dead = 0;
  mdb_reader_check(env->handle, &dead);
  if (!options.read_only) {
    if (const int code = sync_folder(path); code != 0) return env->failure(code, "open");
  }
  if (const int code = open_tables(*env, tables, options.read_only); code != 0) return env->failure(code, "open a table");
  return std::unique_ptr<Kv>(std::make_unique<LmdbKv>(std::move(env)));
}

}  // namespace dozo::store

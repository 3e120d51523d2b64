#include "store/kv_lmdb.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/invariant.h"
#include "store/kv_lmdb_environment.h"

namespace dozo::store {
namespace {

MDB_val val(ByteView bytes) { return {bytes.size(), const_cast<std::uint8_t*>(bytes.data())}; }
ByteView view(const MDB_val& it) { return {static_cast<const std::uint8_t*>(it.mv_data), it.mv_size}; }

constexpr std::size_t compact_bytes_at_a_time = 4U << 20;  // of one transaction: they lie in memory
constexpr std::size_t compact_bytes_synced = 64U << 20;    // then the disk is waited for: a wait for all of it could not be given up

/// LMDB says EIO for a write that came back short, which is how a file system fills up; a device that failed sets errno too.
int committed(MDB_txn* txn) {
  errno = 0;
  const int code = mdb_txn_commit(txn);
  return code == EIO && errno == 0 ? ENOSPC : code;
}

class LmdbCursor;

class LmdbTransaction final : public WriteTransaction {
 public:
  LmdbTransaction(std::shared_ptr<LmdbEnvironment> env, MDB_txn* txn, bool writes) : env_(std::move(env)), txn_(txn), writes_(writes), id_(mdb_txn_id(txn)) {}
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
  void expect_no_reads() override { used_bytes_before_ = env_->used_bytes(); }
  Result<void> commit() override;

  // ---- for cursors ---------------------------------------------------------------------------------------------------
  Result<void> enter() {
    if (failed_) return std::unexpected(*failed_);
    INVARIANT(txn_ != nullptr);
    return {};
  }
  /// A fault in a write transaction is there to stay.
  std::unexpected<Error> failure(int code, std::string_view doing) {
    auto out = env_->failure(code, doing);
    if (writes_) failed_ = out.error();
    return out;
  }
  std::size_t id() const { return id_; }  ///< of a reader: of the commit that it sees
  LmdbEnvironment& environment() const { return *env_; }
  /// Of pages that wait for reuse: LMDB's first table lists them, runs of them under the number of who freed them, each begun by their count.
  Result<std::uint64_t> free_bytes() {
    MDB_cursor* cursor = nullptr;
    if (const int code = mdb_cursor_open(txn_, 0, &cursor); code != 0) return failure(code, "count");
    std::uint64_t pages = 0;
    MDB_val key{}, value{};
    int code = 0;
    while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
      std::size_t count = 0;
      std::memcpy(&count, value.mv_data, std::min(sizeof count, value.mv_size));
      pages += count;
    }
    mdb_cursor_close(cursor);
    if (code != MDB_NOTFOUND) return failure(code, "count");
    MDB_stat stat{};
    mdb_env_stat(env_->handle, &stat);
    return pages * stat.ms_psize;
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
    INVARIANT(table.number < env_->tables.size());
    return env_->tables[table.number];
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
  std::shared_ptr<LmdbEnvironment> env_;
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
  const int code = committed(std::exchange(txn_, nullptr));
  if (code == 0 && used_bytes_before_) env_->drop_from_cache(*used_bytes_before_);
  ended();
  if (code == 0) return {};
  if (code == EIO) {
    // What the kernel says after a failed sync is not to be trusted: nothing more is written until a new start.
    const std::lock_guard lock(env_->mutex);
    env_->disk_failed = true;
  }
  return env_->failure(code, "commit");
}

LmdbTransaction::~LmdbTransaction() {
  close_cursors();
  if (txn_ == nullptr) return;
  mdb_txn_abort(txn_);
  ended();
}

void LmdbTransaction::ended() {
  const std::lock_guard lock(env_->mutex);
  if (writes_) {
    env_->writer = {};
    env_->writing.unlock();
  } else {
    env_->snapshots.erase(env_->snapshots.find(id_));
  }
}

/// Open all the while: to be synced whatever the process's descriptors come to.
class Folder {
 public:
  explicit Folder(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), error_(fd_ < 0 ? errno : 0) {}
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    if (fd_ >= 0) ::close(fd_);
  }
  int sync() const { return error_ != 0 ? error_ : ::fsync(fd_) == 0 ? 0 : errno; }

 private:
  int fd_, error_;
};

class LmdbKv final : public Kv {
 public:
  LmdbKv(std::string path, std::unique_ptr<LmdbRegistration> registration, std::vector<std::string> tables, const LmdbOptions& options,
         std::shared_ptr<LmdbEnvironment> env)
      : path_(std::move(path)), registration_(std::move(registration)), tables_(std::move(tables)), options_(options), env_(std::move(env)) {}
  ~LmdbKv() override { INVARIANT(env_->snapshots.empty() && env_->writer == std::thread::id{} && replaced_.expired()); }

  Result<std::unique_ptr<ReadTransaction>> read() override { return TRY(begin_read()); }
  Result<std::unique_ptr<WriteTransaction>> write() override {
    for (;;) {
      const std::shared_ptr<LmdbEnvironment> env = current();
      {
        const std::lock_guard lock(env->mutex);
        INVARIANT(env->writer != std::this_thread::get_id());
      }
      env->writing.lock();
      std::unique_lock lock(env->mutex);
      if (env->is_replaced) {  // while this waited for its turn
        env->writing.unlock();
        continue;
      }
      MDB_txn* txn = nullptr;
      int code = EIO;
      if (!env->disk_failed) {
        env->grow_when_needed();
        code = mdb_txn_begin(env->handle, nullptr, 0, &txn);
      }
      if (code != 0) {
        env->writing.unlock();
        lock.unlock();
        return env->failure(code, "begin");
      }
      env->writer = std::this_thread::get_id();
      return std::unique_ptr<WriteTransaction>(std::make_unique<LmdbTransaction>(env, txn, true));
    }
  }
  Result<KvStats> stats() override {
    const auto reader = TRY(begin_read());
    const LmdbEnvironment& env = reader->environment();
    KvStats out;
    out.free_bytes = TRY(reader->free_bytes());
    const std::lock_guard lock(env.mutex);
    int dead = 0;
    mdb_reader_check(env.handle, &dead);
    MDB_envinfo info{};
    mdb_env_info(env.handle, &info);
    out.used_bytes = env.used_bytes();
    out.map_bytes = info.me_mapsize;
    out.commits = info.me_last_txnid;
    out.readers = static_cast<std::uint32_t>(env.snapshots.size() - 1);  // but for this one
    auto others = env.snapshots;
    others.erase(others.find(reader->id()));
    if (!others.empty()) out.oldest_reader_behind = info.me_last_txnid - std::min(info.me_last_txnid, *others.begin());
    return out;
  }
  Result<bool> compact(const std::function<bool()>& go_on) override {
    INVARIANT(!options_.read_only);
    const std::lock_guard one_at_a_time(compacting_);
    const auto reader = TRY(begin_read());
    const LmdbEnvironment& old = reader->environment();
    {
      const std::lock_guard lock(old.mutex);
      INVARIANT(old.writer != std::this_thread::get_id());
      if (old.disk_failed) return false;
    }
    MDB_stat tables{};
    mdb_env_stat(old.handle, &tables);
    if (tables.ms_entries != tables_.size()) return false;  // others than were asked for: they would not be copied
    struct statvfs disk{};
    if (::statvfs(path_.c_str(), &disk) != 0 || disk.f_bavail * disk.f_frsize < 2 * old.used_bytes()) return false;
    remove_compacted(path_);
    auto done = compact_from(*reader, go_on);
    if (!done || !*done) remove_compacted(path_);
    return done;
  }

 private:
  std::shared_ptr<LmdbEnvironment> current() const {
    const std::lock_guard lock(mutex_);
    return env_;
  }
  Result<std::unique_ptr<LmdbTransaction>> begin_read() {
    const std::shared_ptr<LmdbEnvironment> env = current();  // if it is replaced now: what it shows was committed last all the same
    std::unique_lock lock(env->mutex);
    MDB_txn* txn = nullptr;
    if (const int code = mdb_txn_begin(env->handle, nullptr, MDB_RDONLY, &txn); code != 0) {
      lock.unlock();
      return env->failure(code, "begin");
    }
    auto out = std::make_unique<LmdbTransaction>(env, txn, false);
    env->snapshots.insert(mdb_txn_id(txn));
    return out;
  }
  /// Leaves files behind where it comes to nothing.
  Result<bool> compact_from(LmdbTransaction& reader, const std::function<bool()>& go_on) {
    LmdbEnvironment& old = reader.environment();
    auto how = options_;
    how.map_bytes_first = std::max(how.map_bytes_first, old.map_bytes());
    const std::shared_ptr<LmdbEnvironment> anew = TRY(LmdbEnvironment::open(path_ + compacted_file, old.name, tables_, how, MDB_NOSUBDIR | MDB_NOSYNC));
    for (std::size_t table = 0; table < tables_.size(); ++table) {
      if (!TRY(copy_table(reader, Table{static_cast<std::uint8_t>(table)}, *anew, go_on))) return false;
    }
    if (!go_on() || old.last_commit() != reader.id()) return false;
    mdb_env_set_flags(anew->handle, MDB_NOSYNC, 0);
    if (const int code = mdb_env_sync(anew->handle, 1); code != 0) return anew->failure(code, "compact");
    const Folder folder(path_);
    if (const int code = folder.sync(); code != 0) return anew->failure(code, "compact");

    const std::lock_guard writing(old.writing);
    {
      const std::lock_guard lock(old.mutex);
      if (old.last_commit() != reader.id() || old.disk_failed) return false;
    }
    if (std::rename((path_ + compacted_file).c_str(), (path_ + "/data.mdb").c_str()) != 0) return anew->failure(errno, "compact");
    // From here on it is this one. The file with the locks is only between threads: whoever opens the folder next makes it anew.
    static_cast<void>(std::rename((path_ + compacted_locks).c_str(), (path_ + "/lock.mdb").c_str()));
    // Which of the two a power cut would leave is not known otherwise: nothing that only one of them has may be acknowledged.
    const int synced = folder.sync();
    if (synced != 0) anew->disk_failed = true;
    {
      const std::lock_guard lock(old.mutex);
      old.is_replaced = true;
    }
    const std::lock_guard lock(mutex_);
    replaced_ = std::exchange(env_, anew);
    if (synced != 0) return anew->failure(synced, "compact");
    return true;
  }
  static Result<bool> copy_table(LmdbTransaction& reader, Table table, LmdbEnvironment& to, const std::function<bool()>& go_on) {
    const auto rows = TRY(reader.cursor(table));
    bool there = TRY(rows->seek({}));
    std::size_t not_synced = 0;
    while (there) {
      if (not_synced >= compact_bytes_synced) {
        if (const int code = mdb_env_sync(to.handle, 1); code != 0) return to.failure(code, "compact");
        not_synced = 0;
      }
      if (!go_on() || reader.environment().last_commit() != reader.id()) return false;
      MDB_txn* txn = nullptr;
      if (const int code = mdb_txn_begin(to.handle, nullptr, 0, &txn); code != 0) return to.failure(code, "compact");
      for (std::size_t bytes = 0; there && bytes < compact_bytes_at_a_time;) {
        MDB_val key = val(rows->key()), value = val(rows->value());
        bytes += key.mv_size + value.mv_size;
        not_synced += key.mv_size + value.mv_size;
        int code = mdb_put(txn, to.tables[table.number], &key, &value, MDB_APPEND);
        const auto next = code == 0 ? rows->next() : Result<bool>(false);
        if (code != 0 || !next) {
          mdb_txn_abort(txn);
          if (code == MDB_KEYEXIST) code = MDB_CORRUPTED;  // the keys that were read are not in their order
          return code != 0 ? Result<bool>(to.failure(code, "compact")) : next;
        }
        there = *next;
      }
      if (const int code = committed(txn); code != 0) return to.failure(code, "compact");
    }
    return true;
  }

  const std::string path_;
  const std::unique_ptr<LmdbRegistration> registration_;
  const std::vector<std::string> tables_;
  const LmdbOptions options_;
  std::mutex compacting_;
  mutable std::mutex mutex_;  ///< for the next two
  std::shared_ptr<LmdbEnvironment> env_;
  std::weak_ptr<LmdbEnvironment> replaced_;  ///< as long as a transaction is open in it
};

}  // namespace

Result<std::unique_ptr<Kv>> open_lmdb(const std::filesystem::path& folder, std::span<const std::string> tables, const LmdbOptions& options) {
  const std::string name = folder.filename().string();
  if (!options.read_only) {
    if (const int code = make_folder(folder); code != 0) return lmdb_failure(code, name, "make the folder");
  }
  std::error_code error;
  const std::string path = std::filesystem::canonical(folder, error).string();
  if (error) return lmdb_failure(error.value(), name, "open");
  // A first start that ended before anything was written: LMDB would write the beginning, and may not.
  if (options.read_only && std::filesystem::file_size(path + "/data.mdb", error) == 0 && !error) return fail(Fault::not_found, name + ": it was never begun");
  if (over_the_network(path)) return fail(Fault::denied, name + ": lies on a network file system; the store needs a local disk");
  auto registration = LmdbRegistration::of(path);
  if (!registration) return fail(Fault::exists, name + ": open in this process already");
  if (!options.read_only) remove_compacted(path);
  auto env = TRY(LmdbEnvironment::open(path, name, tables, options, 0));
  return std::unique_ptr<Kv>(std::make_unique<LmdbKv>(path, std::move(registration), std::vector(tables.begin(), tables.end()), options, std::move(env)));
}

}  // namespace dozo::store

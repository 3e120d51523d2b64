#include "store/kv_lmdb.h"

#include <lmdb.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <vector>

#include "base/invariant.h"

namespace dozo::store {
namespace {

MDB_val val(ByteView bytes) { return {bytes.size(), const_cast<std::uint8_t*>(bytes.data())}; }
ByteView view(const MDB_val& it) { return {static_cast<const std::uint8_t*>(it.mv_data), it.mv_size}; }

struct Environment {
  std::string name;  ///< of the folder: "truth", "derived"
  MDB_env* handle = nullptr;
  std::vector<MDB_dbi> tables;
  std::atomic<int> live{0};  ///< transactions: the map may grow only when there is none

  ~Environment() {
    if (handle != nullptr) mdb_env_close(handle);
  }
  std::unexpected<Error> failure(int code, std::string_view doing) const {
    const std::string text = name + ": " + std::string(doing) + ": ";
    switch (code) {
      case MDB_MAP_FULL: return fail(Fault::unavailable, text + "the store has reached its size limit; restart the node to let it grow");
      case ENOSPC:
      case EDQUOT: return fail(Fault::unavailable, text + "the disk is full; make room and try again");
      case EACCES:
      case EPERM:
      case EROFS: return fail(Fault::denied, text + "no permission; is the home this user's?");
      case MDB_VERSION_MISMATCH:
      case MDB_INVALID: return fail(Fault::unsupported, text + "not a store that this version reads");
      case MDB_CORRUPTED:
      case MDB_PAGE_NOTFOUND:
      case MDB_PANIC:
      case EIO: return fail(Fault::corrupt, text + mdb_strerror(code) + "; run dozo fsck");
      default: return fail(Fault::unavailable, text + mdb_strerror(code));
    }
  }
};

class LmdbCursor final : public Cursor {
 public:
  LmdbCursor(const Environment& env, MDB_cursor* cursor) : env_(env), cursor_(cursor) {}
  ~LmdbCursor() override { mdb_cursor_close(cursor_); }
  Result<bool> seek(ByteView key) override {
    if (key.empty()) return step(MDB_FIRST);
    key_ = val(key);
    return step(MDB_SET_RANGE);
  }
  Result<bool> next() override { return step(MDB_NEXT); }
  Result<bool> last() override { return step(MDB_LAST); }
  ByteView key() const override { return view(key_); }
  ByteView value() const override { return view(value_); }

 private:
  Result<bool> step(MDB_cursor_op op) {
    const int code = mdb_cursor_get(cursor_, &key_, &value_, op);
    if (code == MDB_NOTFOUND) return false;
    if (code != 0) return env_.failure(code, "walk");
    return true;
  }
  const Environment& env_;
  MDB_cursor* cursor_;
  MDB_val key_{}, value_{};
};

class LmdbTransaction final : public WriteTransaction {
 public:
  LmdbTransaction(Environment& env, MDB_txn* txn) : env_(env), txn_(txn) { ++env_.live; }
  ~LmdbTransaction() override { end(); }

  Result<std::optional<ByteView>> get(Table table, ByteView key) override {
    MDB_val k = val(key), v{};
    const int code = mdb_get(txn_, dbi(table), &k, &v);
    if (code == MDB_NOTFOUND) return std::optional<ByteView>{};
    if (code != 0) return env_.failure(code, "read");
    return std::optional<ByteView>{view(v)};
  }
  Result<std::unique_ptr<Cursor>> cursor(Table table) override {
    MDB_cursor* cursor = nullptr;
    if (const int code = mdb_cursor_open(txn_, dbi(table), &cursor); code != 0) return env_.failure(code, "walk");
    return std::unique_ptr<Cursor>(std::make_unique<LmdbCursor>(env_, cursor));
  }
  Result<std::uint64_t> count(Table table) override {
    MDB_stat stat{};
    if (const int code = mdb_stat(txn_, dbi(table), &stat); code != 0) return env_.failure(code, "count");
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
    MDB_val k = val(key);
    const int code = mdb_del(txn_, dbi(table), &k, nullptr);
    if (code == MDB_NOTFOUND) return false;
    if (code != 0) return env_.failure(code, "erase");
    return true;
  }
  Result<void> commit() override {
    const int code = mdb_txn_commit(std::exchange(txn_, nullptr));
    --env_.live;
    if (code != 0) return env_.failure(code, "commit");
    return {};
  }

 private:
  MDB_dbi dbi(Table table) const {
    INVARIANT(txn_ != nullptr && table.number < env_.tables.size());
    return env_.tables[table.number];
  }
  Result<void> put_value(Table table, ByteView key, MDB_val& value, unsigned flags) {
    INVARIANT(!key.empty() && key.size() <= key_bytes_most);
    MDB_val k = val(key);
    if (const int code = mdb_put(txn_, dbi(table), &k, &value, flags); code != 0) return env_.failure(code, "write");
    return {};
  }
  void end() {
    if (txn_ == nullptr) return;
    mdb_txn_abort(txn_);
    txn_ = nullptr;
    --env_.live;
  }
  Environment& env_;
  MDB_txn* txn_;
};

class LmdbKv final : public Kv {
 public:
  explicit LmdbKv(std::unique_ptr<Environment> env) : env_(std::move(env)) {}
  Result<std::unique_ptr<ReadTransaction>> read() override { return std::unique_ptr<ReadTransaction>(TRY(begin(MDB_RDONLY))); }
  Result<std::unique_ptr<WriteTransaction>> write() override { return std::unique_ptr<WriteTransaction>(TRY(begin(0))); }
  Result<std::uint64_t> used_bytes() override {
    MDB_envinfo info{};
    MDB_stat stat{};
    mdb_env_info(env_->handle, &info);
    mdb_env_stat(env_->handle, &stat);
    return (static_cast<std::uint64_t>(info.me_last_pgno) + 1) * stat.ms_psize;
  }

 private:
  Result<std::unique_ptr<LmdbTransaction>> begin(unsigned flags) {
    MDB_txn* txn = nullptr;
    if (flags == 0) grow_when_near_full();
    if (const int code = mdb_txn_begin(env_->handle, nullptr, flags, &txn); code != 0) return env_->failure(code, "begin");
    return std::make_unique<LmdbTransaction>(*env_, txn);
  }
  void grow_when_near_full() {
    MDB_envinfo info{};
    MDB_stat stat{};
    mdb_env_info(env_->handle, &info);
    mdb_env_stat(env_->handle, &stat);
    if (env_->live == 0 && (info.me_last_pgno + 1) * stat.ms_psize > info.me_mapsize / 4 * 3) mdb_env_set_mapsize(env_->handle, info.me_mapsize * 2);
  }
  std::unique_ptr<Environment> env_;
};

}  // namespace

Result<std::unique_ptr<Kv>> open_lmdb(const std::filesystem::path& folder, std::span<const std::string> tables, const LmdbOptions& options) {
  auto env = std::make_unique<Environment>();
  env->name = folder.filename().string();
  std::error_code error;
  if (!options.read_only && !std::filesystem::exists(folder, error) && ::mkdir(folder.c_str(), 0700) != 0) return env->failure(errno, "make the folder");
  if (const int code = mdb_env_create(&env->handle); code != 0) return env->failure(code, "open");
  mdb_env_set_mapsize(env->handle, options.map_bytes);
  mdb_env_set_maxdbs(env->handle, static_cast<unsigned>(tables.size()));
  mdb_env_set_maxreaders(env->handle, 1024);
  const unsigned flags = MDB_NOTLS | (options.read_only ? MDB_RDONLY : 0U);
  if (const int code = mdb_env_open(env->handle, folder.c_str(), flags, 0600); code != 0) return env->failure(code, "open");
  int stale = 0;
  mdb_reader_check(env->handle, &stale);
  MDB_txn* txn = nullptr;
  if (const int code = mdb_txn_begin(env->handle, nullptr, options.read_only ? MDB_RDONLY : 0U, &txn); code != 0) return env->failure(code, "open");
  for (const std::string& table : tables) {
    MDB_dbi dbi = 0;
    if (const int code = mdb_dbi_open(txn, table.c_str(), options.read_only ? 0U : MDB_CREATE, &dbi); code != 0) {
      mdb_txn_abort(txn);
      return env->failure(code, "open table " + table);
    }
    env->tables.push_back(dbi);
  }
  if (const int code = mdb_txn_commit(txn); code != 0) return env->failure(code, "open");
  return std::unique_ptr<Kv>(std::make_unique<LmdbKv>(std::move(env)));
}

Result<void> check_lmdb_in_child(const std::filesystem::path& folder, std::span<const std::string> tables) {
  const std::string name = folder.filename().string();
  const pid_t child = ::fork();
  if (child < 0) return fail(Fault::unavailable, name + ": no process for the check");
  if (child == 0) {
    LmdbOptions options;
    options.read_only = true;
    const auto walk = [&]() -> Result<void> {
      const auto kv = TRY(open_lmdb(folder, tables, options));
      const auto txn = TRY(kv->read());
      volatile std::uint8_t touched = 0;
      for (std::size_t i = 0; i < tables.size(); ++i) {
        const auto cursor = TRY(txn->cursor(Table{static_cast<std::uint8_t>(i)}));
        std::uint64_t count = 0;
        for (bool there = TRY(cursor->seek({})); there; there = TRY(cursor->next())) {
          ++count;
          for (const std::uint8_t byte : cursor->key()) touched = static_cast<std::uint8_t>(touched ^ byte);
          for (std::size_t at = 0; at < cursor->value().size(); at += 512) touched = static_cast<std::uint8_t>(touched ^ cursor->value()[at]);
        }
        if (count != TRY(txn->count(Table{static_cast<std::uint8_t>(i)}))) return fail(Fault::corrupt, "a table that counts wrongly");
      }
      return {};
    };
    ::_exit(walk() ? 0 : 1);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail(Fault::corrupt, name + ": its pages are damaged; run dozo fsck --rebuild");
}

}  // namespace dozo::store

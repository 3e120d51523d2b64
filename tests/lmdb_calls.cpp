#include "tests/lmdb_calls.h"

#include <lmdb.h>

namespace {

struct Watch {
  bool on = false, stays = false;
  std::string operation;
  std::uint64_t n = 0;
  int code = 0;
  dozo::lmdb_calls::Counts counts;
};
Watch& watch() {
  static Watch it;
  return it;
}

/// What the call gives instead; 0: let it be.
int failing(const char* operation) {
  Watch& it = watch();
  if (!it.on) return 0;
  const std::uint64_t count = ++it.counts[operation];
  if (it.operation != operation || (it.stays ? count < it.n : count != it.n)) return 0;
  return it.code;
}

}  // namespace

namespace dozo::lmdb_calls {

void count() {
  watch() = {};
  watch().on = true;
}
void fail_at(const std::string& operation, std::uint64_t n, int code, bool stays) {
  count();
  watch().operation = operation;
  watch().n = n;
  watch().code = code;
  watch().stays = stays;
}
void leave() { watch().on = false; }
Counts counted() { return watch().counts; }

}  // namespace dozo::lmdb_calls

// The linker gives callers the second of each pair for the name of the first (--wrap).
// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
extern "C" {

#define DOZO_LMDB(name, operation, parameters, arguments) \
  int __real_##name parameters;                           \
  int __wrap_##name parameters {                          \
    const int code = failing(operation);                  \
    return code != 0 ? code : __real_##name arguments;    \
  }
DOZO_LMDB(mdb_txn_begin, "begin", (MDB_env * env, MDB_txn* parent, unsigned flags, MDB_txn** txn), (env, parent, flags, txn))
DOZO_LMDB(mdb_get, "get", (MDB_txn * txn, MDB_dbi dbi, MDB_val* key, MDB_val* value), (txn, dbi, key, value))
DOZO_LMDB(mdb_put, "put", (MDB_txn * txn, MDB_dbi dbi, MDB_val* key, MDB_val* value, unsigned flags), (txn, dbi, key, value, flags))
DOZO_LMDB(mdb_del, "del", (MDB_txn * txn, MDB_dbi dbi, MDB_val* key, MDB_val* value), (txn, dbi, key, value))
DOZO_LMDB(mdb_cursor_open, "cursor open", (MDB_txn * txn, MDB_dbi dbi, MDB_cursor** cursor), (txn, dbi, cursor))
DOZO_LMDB(mdb_cursor_get, "cursor get", (MDB_cursor * cursor, MDB_val* key, MDB_val* value, MDB_cursor_op op), (cursor, key, value, op))
DOZO_LMDB(mdb_stat, "stat", (MDB_txn * txn, MDB_dbi dbi, MDB_stat* stat), (txn, dbi, stat))
DOZO_LMDB(mdb_env_open, "open", (MDB_env * env, const char* path, unsigned flags, mdb_mode_t mode), (env, path, flags, mode))
DOZO_LMDB(mdb_dbi_open, "open table", (MDB_txn * txn, const char* name, unsigned flags, MDB_dbi* dbi), (txn, name, flags, dbi))
#undef DOZO_LMDB

int __real_mdb_txn_commit(MDB_txn* txn);
int __wrap_mdb_txn_commit(MDB_txn* txn) {
  const int code = failing("commit");
  if (code == 0) return __real_mdb_txn_commit(txn);
  mdb_txn_abort(txn);  // as LMDB does
  return code;
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)

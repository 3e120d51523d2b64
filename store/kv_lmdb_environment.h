// LMDB environment: one file of LMDB's, opened, and what goes with its folder. Private to kv_lmdb.cpp.
//
// Threads: any, as its members say.
#pragma once
#include <lmdb.h>

#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "store/kv_lmdb.h"

namespace dozo::store {

inline constexpr const char* compacted_file = "/compact.mdb";
inline constexpr const char* compacted_locks = "/compact.mdb-lock";  // LMDB's own name for it

/// LMDB's code, or errno's, as a fault.
std::unexpected<Error> lmdb_failure(int code, std::string_view name, std::string_view doing);

struct LmdbEnvironment {
  const std::string name;  ///< of the folder: "truth", "derived"
  const std::size_t map_bytes_most = 0;
  MDB_env* handle = nullptr;
  std::vector<MDB_dbi> tables;

  std::mutex writing;                    ///< held by the write transaction
  mutable std::mutex mutex;              ///< for what follows, and for beginning: the map may grow only when no transaction is open
  std::thread::id writer;                ///< whoever holds `writing`
  std::multiset<std::size_t> snapshots;  ///< transaction ids of the open readers
  bool map_was_full = false;
  bool disk_failed = false;
  bool is_replaced = false;  ///< by a compacted one: nothing begins to write here any more

  /// A folder, or with MDB_NOSUBDIR among `flags` a file. Its tables are made where they are missing.
  static Result<std::shared_ptr<LmdbEnvironment>> open(const std::string& path, const std::string& name, std::span<const std::string> tables,
                                                       const LmdbOptions& options, unsigned flags);
  LmdbEnvironment(std::string its_name, std::size_t its_map_bytes_most) : name(std::move(its_name)), map_bytes_most(its_map_bytes_most) {}
  LmdbEnvironment(const LmdbEnvironment&) = delete;
  LmdbEnvironment& operator=(const LmdbEnvironment&) = delete;
  ~LmdbEnvironment();

  std::unexpected<Error> failure(int code, std::string_view doing);  ///< not with the mutex held
  std::size_t map_bytes() const;
  std::size_t used_bytes() const;
  std::size_t last_commit() const;  ///< its transaction id
  /// What lies in the file from there on need not stay in memory: it is on the disk already. Of the whole file only that, or the kernel would look through all
  /// of it.
  void drop_from_cache(std::size_t from) const;
  void grow_when_needed();  ///< needs the mutex, and no write transaction
};

/// That a folder is open in this process, as long as this lives: LMDB's locks break when one is opened twice.
class LmdbRegistration {
 public:
  static std::unique_ptr<LmdbRegistration> of(const std::string& path);  ///< null: it is open
  LmdbRegistration(const LmdbRegistration&) = delete;
  LmdbRegistration& operator=(const LmdbRegistration&) = delete;
  ~LmdbRegistration();

 private:
  explicit LmdbRegistration(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

bool over_the_network(const std::filesystem::path& folder);
int make_folder(const std::filesystem::path& folder);  ///< 0700; errno
int sync_folder(const std::filesystem::path& folder);  ///< so that a new file's name survives a power cut; errno
void remove_compacted(const std::string& folder);      ///< what a compaction left that came to nothing

}  // namespace dozo::store

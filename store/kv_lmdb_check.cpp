#include <lmdb.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>

#include "store/kv_lmdb.h"

namespace dozo::store {
namespace {

Result<void> walk_table(const std::filesystem::path& folder, const std::string& table) {
  LmdbOptions options;
  options.read_only = true;
  const auto opened = open_lmdb(folder, std::span(&table, 1), options);
  if (!opened && opened.error().fault == Fault::not_found) return {};
  if (!opened) return std::unexpected(opened.error());
  const auto transaction = TRY((*opened)->read());
  const auto cursor = TRY(transaction->cursor(Table{0}));
  const std::uint64_t count = TRY(transaction->count(Table{0}));
  std::uint64_t seen = 0;
  std::uint8_t touched = 0;
  Bytes before;
  for (bool there = TRY(cursor->seek({})); there; there = TRY(cursor->next())) {
    if (++seen > count) break;
    if (seen > 1 && !std::lexicographical_compare(before.begin(), before.end(), cursor->key().begin(), cursor->key().end()))
      return fail(Fault::corrupt, "table " + table + ": its keys are out of order");
    before = bytes_of(cursor->key());
    // Both ends of a value: its pages have to be there. What it says is checked by whoever knows what it must be.
    if (!cursor->value().empty()) touched = static_cast<std::uint8_t>(touched ^ cursor->value().front() ^ cursor->value().back());
  }
  [[maybe_unused]] volatile std::uint8_t kept = touched;
  if (seen != count) return fail(Fault::corrupt, "table " + table + ": holds another number of rows than it says");
  return {};
}

/// The unnamed table, which names the others: where a page of it is damaged, they only seem to be missing.
Result<void> walk_names(const std::filesystem::path& folder) {
  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;
  MDB_dbi names{};
  MDB_cursor* cursor = nullptr;
  MDB_stat stat{};
  // Nothing is given back: the process ends here. What cannot be opened at all is told better by open_lmdb.
  if (mdb_env_create(&env) != 0 || mdb_env_open(env, folder.c_str(), MDB_RDONLY | MDB_NOLOCK, 0600) != 0 || mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn) != 0)
    return {};
  std::size_t seen = 0;
  int code = mdb_dbi_open(txn, nullptr, 0, &names);
  if (code == 0) code = mdb_stat(txn, names, &stat);
  if (code == 0) code = mdb_cursor_open(txn, names, &cursor);
  for (MDB_val key{}, value{}; code == 0 && seen <= stat.ms_entries; ++seen) {
    code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    if (code == MDB_NOTFOUND) break;
  }
  if ((code != 0 && code != MDB_NOTFOUND) || seen != stat.ms_entries) return fail(Fault::corrupt, "its list of tables is damaged");
  // What LMDB takes for pages that nobody needs it writes over.
  MDB_cursor* free = nullptr;
  code = mdb_cursor_open(txn, 0, &free);
  for (MDB_val key{}, value{}; code == 0;) code = mdb_cursor_get(free, &key, &value, MDB_NEXT);
  if (code != MDB_NOTFOUND) return fail(Fault::corrupt, "its list of free pages is damaged");
  return {};
}

/// How a reader ends that damaged pages lead astray. However else it ends, it was ended from outside, or had no memory.
constexpr std::array crash_signals{SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};

/// What the child says: the fault's number and the text. Nothing: sound.
[[noreturn]] void run_child(const std::filesystem::path& folder, std::span<const std::string> tables, int answer) {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);  // an image of its memory would hold what the store holds
  for (const int number : crash_signals) std::signal(number, SIG_DFL);
  Result<void> sound = walk_names(folder);
  for (std::size_t i = 0; sound && i < tables.size(); ++i) sound = walk_table(folder, tables[i]);
  if (!sound) {
    Bytes message{static_cast<std::uint8_t>(sound.error().fault)};
    append(message, view_of(sound.error().text).first(std::min<std::size_t>(sound.error().text.size(), 400)));
    [[maybe_unused]] const auto written = ::write(answer, message.data(), message.size());
    ::_exit(1);
  }
  ::_exit(0);
}

/// What looks_cut needs of the two first pages, as LMDB 0.9 writes them on this machine: after the page's own head of 16 bytes.
struct MetaPage {
  std::uint32_t magic, version;
  std::uint64_t address, map_bytes;
  struct {
    std::uint32_t pad;  ///< of the first: the size of a page
    std::uint16_t flags, depth;
    std::uint64_t pages[3], entries, root;
  } tables[2];
  std::uint64_t last_page, transaction;
};
static_assert(sizeof(MetaPage) == 136);
constexpr std::uint32_t meta_magic = 0xbeefc0de;
constexpr std::streamoff page_head_bytes = 16;

}  // namespace

bool looks_cut(const std::filesystem::path& folder) {
  std::error_code error;
  const std::filesystem::path file = folder / "data.mdb";
  const std::uint64_t size = std::filesystem::file_size(file, error);
  if (error || size == 0) return false;
  std::ifstream in(file, std::ios::binary);
  MetaPage newest{};
  for (std::streamoff at = 0;;) {
    MetaPage page{};
    if (!in.seekg(at + page_head_bytes).read(reinterpret_cast<char*>(&page), sizeof page)) return true;
    if (page.magic != meta_magic) return false;  // no file of LMDB, as opening it will say
    const std::uint32_t page_bytes = page.tables[0].pad;
    if (page_bytes < 512 || page_bytes > 65'536) return true;
    if (page.transaction >= newest.transaction) newest = page;
    if (at != 0) return newest.last_page >= size / page_bytes;
    at = page_bytes;
  }
}

Result<void> check_lmdb_in_child(const std::filesystem::path& folder, std::span<const std::string> tables) {
  const std::string name = folder.filename().string();
  std::error_code error;
  if (!std::filesystem::exists(folder / "data.mdb", error)) return {};
  int ends[2];
  if (::pipe(ends) != 0) return fail(Fault::unavailable, name + ": no pipe for the check");
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    run_child(folder, tables, ends[1]);
  }
  ::close(ends[1]);
  Bytes said(512);
  std::size_t got = 0;
  while (child > 0 && got < said.size()) {
    const auto count = ::read(ends[0], said.data() + got, said.size() - got);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    got += static_cast<std::size_t>(count);
  }
  ::close(ends[0]);
  if (child < 0) return fail(Fault::unavailable, name + ": no process for the check");
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  if (got > 0 && said[0] <= static_cast<std::uint8_t>(Fault::unsupported))
    return fail(static_cast<Fault>(said[0]), name + ": " + std::string(text_of(ByteView(said).first(got).subspan(1))));
  const bool has_crashed = WIFSIGNALED(status) && std::ranges::find(crash_signals, WTERMSIG(status)) != crash_signals.end();
  if (!has_crashed) return fail(Fault::unavailable, name + ": its check was ended, perhaps for want of memory; try again");
  return fail(Fault::corrupt, name + ": reading its pages kills the reader; run dozo fsck --rebuild");
}

}  // namespace dozo::store

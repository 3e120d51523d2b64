// dozod: the daemon of one node (docs/cli.md).
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <exception>

#include "base/memory.h"
#include "crypto/start.h"
#include "node/daemon.h"
#include "node/exit_status.h"
#include "node/secrets.h"

namespace {

using namespace dozo;

std::atomic<int> stops_asked = 0;  // lock-free: a signal may come to any thread
static_assert(std::atomic<int>::is_always_lock_free);
int stop_descriptor = -1;

/// The first asks for an end, the second is one.
void on_signal(int) {
  const int before = errno;
  if (stops_asked.fetch_add(1) > 0) ::_exit(1);
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(stop_descriptor, &one, sizeof one);
  errno = before;
}

Result<void> take_signals() {
  stop_descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop_descriptor < 0) return fail(Fault::unavailable, "no descriptor is left");
  struct sigaction action{};
  action.sa_handler = on_signal;
  for (const int number : {SIGTERM, SIGINT}) ::sigaction(number, &action, nullptr);
  for (const int number : {SIGPIPE, SIGHUP}) ::signal(number, SIG_IGN);
  return {};
}

/// Nothing of this process's memory is to reach a disk, and nothing that it makes is for others.
void close_process() {
  ::umask(077);
  ::prctl(PR_SET_DUMPABLE, 0);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  // Threads that come and go with every save would else leave an arena each, and freed buffers would stay; with fewer those that read, pack and commit wait for
  // each other. Packs and batches (1 and 2 MiB) are to come from the heap: a mapping of its own for each would be faulted in and given back page by page, every
  // time.
  ::mallopt(M_ARENA_MAX, 4);
  ::mallopt(M_MMAP_THRESHOLD, 4 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 16 << 20);
}

/// Standard descriptors that are closed would be taken by the store's files, and messages written there.
void fill_standard_descriptors() {
  for (int fd = ::open("/dev/null", O_RDWR); fd >= 0; fd = ::open("/dev/null", O_RDWR))
    if (fd > 2) {
      ::close(fd);
      return;
    }
}

int fail_with(int status, std::string_view text) {
  std::string line(text);
  for (char& c : line)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  std::fprintf(stderr, "dozod: %s\n", line.c_str());
  return status;
}
int fail_with(const Error& error) { return fail_with(node::exit_status(error.fault), error.text); }

struct Options {
  std::string home;
  node::SecretOptions secret;
  bool check = false;
};

constexpr const char* usage =
    "dozod HOME [--check] [--passphrase-file FILE | --key-file FILE]\n"
    "Runs the node of that home until it gets SIGTERM or SIGINT; the log goes to standard error.\n\n"
    "  --check                 only say whether it could: open keys and store, take the ports, and end\n"
    "  --key-file FILE         file whose content opens the node's keys (else the one that node.toml names)\n"
    "  --passphrase-file FILE  file whose first line does (else the terminal is asked)\n"
    "  --help, --version\n";

/// Nothing: done already, with this status.
std::optional<Options> read_options(int argc, char** argv, int& status) {
  enum : int { check = 1, key_file, passphrase_file, help, version };
  static const option known[] = {{"check", no_argument, nullptr, check},
                                 {"key-file", required_argument, nullptr, key_file},
                                 {"passphrase-file", required_argument, nullptr, passphrase_file},
                                 {"help", no_argument, nullptr, help},
                                 {"version", no_argument, nullptr, version},
                                 {}};
  Options out;
  status = 2;
  ::opterr = 0;
  for (int found = 0; (found = ::getopt_long(argc, argv, "", known, nullptr)) != -1;) {
    switch (found) {
      case check: out.check = true; break;
      case key_file: out.secret.key_file = ::optarg; break;
      case passphrase_file: out.secret.passphrase_file = ::optarg; break;
      case help: std::fputs(usage, stdout); return status = 0, std::nullopt;
      case version: std::puts("dozod " DOZO_VERSION); return status = 0, std::nullopt;
      default: fail_with(2, "unknown option, or one without its file (dozod --help)"); return std::nullopt;
    }
  }
  if (argc - ::optind != 1) return fail_with(2, "which node? dozod HOME (dozod --help)"), std::nullopt;
  if (!out.secret.key_file.empty() && !out.secret.passphrase_file.empty())
    return fail_with(2, "--key-file and --passphrase-file exclude each other"), std::nullopt;
  out.home = argv[::optind];
  return out;
}

/// A store that an older version made. Where that fails, as in one that is damaged or on a full disk, it
/// stays as it is, and serves as well as before.
Result<void> migrate(node::HomeStore& store, node::DaemonLog& log) {
  const std::uint8_t before = TRY(store.truth().format());
  if (before == store::truth_format) return {};
  const Result<void> done = store.truth().migrate(store::truth_format);
  if (done) {
    log.info("the store was of format " + std::to_string(before) + " and is of format " + std::to_string(store::truth_format) +
             " now; before going back to an older version of Dozo: dozo node migrate --format " + std::to_string(before));
  } else {
    log.warning("the store stays of format " + std::to_string(before) + ": " + done.error().text);
  }
  return {};
}

/// With keys and lock at hand. `opened`: the store was found sound.
Result<void> serve(const Options& options, const node::Home& home, const node::HomeKeys& keys, bool died, bool& opened) {
  node::DaemonLog log;
  if (died) log.warning("the last run did not end by itself: checking the store first");
  const auto store = TRY(node::HomeStore::open(home, keys, died ? node::HomeStore::Before::died : node::HomeStore::Before::ended));
  opened = true;
  if (store->derived_was_damaged()) log.warning("the derived store was damaged, another version's or another node's: it is made again from the truth");
  if (!options.check) TRY(migrate(*store, log));
  const auto daemon = TRY(node::Daemon::open(home, keys, *store, log));
  if (options.check) {
    std::puts("ok");
    return {};
  }
  log.info("dozod " DOZO_VERSION ": " + daemon->introduction());
  if (!daemon->run({&stops_asked, stop_descriptor})) {
    log.error("a save did not end in time: ending without it");
    ::_exit(0);  // its thread uses the store; what was committed is safe, and the mark in the home has the store checked
  }
  log.info("stopped");
  return {};
}

Result<void> run(const Options& options) {
  TRY(crypto::start());
  const node::Home home = TRY(node::open_home(options.home));
  const node::HomeLock lock = TRY(node::lock_home(home));
  const node::HomeKeys keys = TRY(node::open_home_keys(home, options.secret));
  TRY(take_signals());
  const bool died = TRY(node::mark_running(home));
  bool opened = false;
  Result<void> done = serve(options, home, keys, died, opened);
  // The mark stays where the store is damaged, or was not found sound after a death.
  const bool sound = (opened || !died) && (done || done.error().fault != Fault::corrupt);
  if (sound) TRY(node::clear_running(home));
  return done;
}

}  // namespace

int main(int argc, char** argv) {
  fill_standard_descriptors();
  close_process();
  // What was acknowledged is on the disk: a death is no loss, and the next start checks the store.
  end_when_out_of_memory("dozod: out of memory: ended; what was acknowledged is safe\n", node::exit_status(Fault::unavailable));
  try {
    int status = 0;
    const auto options = read_options(argc, argv, status);
    if (!options) return status;
    const Result<void> done = run(*options);
    return done ? 0 : fail_with(done.error());
  } catch (const std::exception& error) {
    return fail_with(1, error.what());
  }
}

// Goal: a compaction loses nothing, whoever reads, writes, dies or fails meanwhile.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "tests/kv_fixture.h"

using namespace kv_test;

namespace {

bool always() { return true; }

/// Rows of all sizes, written over and over in small commits: what leaves pages for reuse.
template <class Body>
Rows worn(Body& body) {
  std::mt19937_64 random(5);
  std::map<std::string, std::string> all;
  for (int commit = 0; commit < 60; ++commit) {
    const auto txn = body.kv->write().value();
    for (int i = 0; i < 60; ++i) {
      const std::string key = std::to_string(random() % 4'000),
                        value(random() % 3 == 0 ? random() % 9'000 : random() % 90, static_cast<char>('a' + commit % 26));
      REQUIRE(txn->put(one, view_of(key), view_of(value)));
      all[key] = value;
    }
    REQUIRE(txn->put(two, view_of("commit"), view_of(std::to_string(commit))));
    REQUIRE(txn->commit());
  }
  return {all.begin(), all.end()};
}

std::set<std::string> files_in(const std::string& folder) {
  std::set<std::string> out;
  for (const auto& it : std::filesystem::directory_iterator(folder)) out.insert(it.path().filename().string());
  return out;
}
const std::set<std::string> just_it{"data.mdb", "lock.mdb"};

}  // namespace

TEST_CASE_TEMPLATE("kv: compacted, it holds what it held, and goes on", Body, OnMemory, OnLmdb) {
  Body body;
  const Rows before = worn(body);
  const KvStats then = body.kv->stats().value();
  const bool done = body.kv->compact(always).value();
  CHECK(done == std::is_same_v<Body, OnLmdb>);
  const KvStats now = body.kv->stats().value();
  if (done) {
    CHECK(then.free_bytes > then.used_bytes / 20);
    CHECK(now.used_bytes + then.free_bytes <= then.used_bytes);
    CHECK(now.free_bytes <= 16'384);
    CHECK(now.readers == 0);
  }
  CHECK(rows(*body.kv->read().value(), one) == before);
  {
    const auto txn = body.kv->write().value();
    REQUIRE(txn->put(two, view_of("after"), view_of("it")));
    REQUIRE(txn->commit());
  }
  CHECK(body.kv->stats().value().commits != now.commits);
  body.reopen();
  const auto txn = body.kv->read().value();
  CHECK(rows(*txn, one) == before);
  CHECK(rows(*txn, two) == Rows{{"after", "it"}, {"commit", "59"}});
}

TEST_CASE("kv on LMDB: who reads while it is compacted goes on seeing what was there, and who waits to write writes into the new file") {
  OnLmdb body;
  const Rows before = worn(body);
  auto reader = body.kv->read().value();
  const auto cursor = reader->cursor(one).value();
  REQUIRE(cursor->seek({}).value());
  std::thread writer;
  REQUIRE(body.kv->compact(always).value());
  {
    const auto txn = body.kv->write().value();
    writer = std::thread([&] {
      const auto other = body.kv->write().value();
      REQUIRE(other->put(two, view_of("waited"), view_of("1")));
      REQUIRE(other->commit());
    });
    for (const auto& [key, value] : before) REQUIRE(txn->erase(one, view_of(key)).value());
    REQUIRE(txn->commit());
  }
  writer.join();
  CHECK(rows(*reader, one) == before);
  CHECK(text_of(cursor->key()) == before.front().first);
  REQUIRE(cursor->next().value());
  CHECK(text_of(cursor->value()) == before.at(1).second);
  CHECK(rows(*body.kv->read().value(), one).empty());
  // Again, with somebody in the first file still.
  REQUIRE(body.kv->compact(always).value());
  CHECK(rows(*reader, one) == before);
  reader.reset();
  body.reopen();
  CHECK(rows(*body.kv->read().value(), two) == Rows{{"commit", "59"}, {"waited", "1"}});
  CHECK(files_in(body.folder + "/env") == just_it);
}

TEST_CASE("kv on LMDB: what writers do while it is compacted is never lost") {
  OnLmdb body;
  worn(body);
  std::atomic<bool> stop = false;
  std::atomic<int> written = 0;
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {
      const auto txn = body.kv->write().value();
      REQUIRE(txn->put(two, view_of(std::to_string(i)), view_of("1")));
      REQUIRE(txn->commit());
      written = i + 1;
      std::this_thread::sleep_for(std::chrono::milliseconds(i % 40));
    }
  });
  int done = 0, vain = 0;
  while (done < 20 && vain < 2'000) ++(body.kv->compact(always).value() ? done : vain);
  stop = true;
  writer.join();
  CHECK(done == 20);
  body.reopen();
  const auto txn = body.kv->read().value();
  for (int i = 0; i < written; ++i) CHECK(text(txn->get(two, view_of(std::to_string(i)))) == "1");
}

TEST_CASE("kv on LMDB: a compaction that is given up, overtaken or without room leaves all as it was") {
  OnLmdb body;
  const Rows before = worn(body);
  const std::string folder = body.folder + "/env";
  const auto file = std::filesystem::file_size(folder + "/data.mdb");
  CHECK_FALSE(body.kv->compact([] { return false; }).value());
  CHECK(files_in(folder) == just_it);
  int asked = 0;
  CHECK_FALSE(body.kv
                  ->compact([&] {
                    if (++asked == 1) {
                      const auto txn = body.kv->write().value();
                      REQUIRE(txn->put(two, view_of("meanwhile"), view_of("1")));
                      REQUIRE(txn->commit());
                    }
                    return true;
                  })
                  .value());
  CHECK(files_in(folder) == just_it);
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  rlimit room{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &room) == 0);
  rlimit tight = room;
  tight.rlim_cur = file / 2;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
  const auto full = body.kv->compact(always);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &room) == 0);
  std::signal(SIGXFSZ, ignored);
  REQUIRE(!full);
  CHECK(full.error().text.find("disk is full") != std::string::npos);
  CHECK(files_in(folder) == just_it);
  CHECK(rows(*body.kv->read().value(), one) == before);
  CHECK(text(body.kv->read().value()->get(two, view_of("meanwhile"))) == "1");
  REQUIRE(body.kv->compact(always).value());
  CHECK(rows(*body.kv->read().value(), one) == before);
}

// Runs itself with a library loaded before it: what is asked of the child comes by its surroundings.
constexpr const char* child_case = "kv on LMDB: the child that compacts a folder";

TEST_CASE("kv on LMDB: the child that compacts a folder" * doctest::skip()) {
  const auto kv = open_lmdb(std::getenv("DOZO_KV_FOLDER"), names);
  if (!kv) return;
  static_cast<void>((*kv)->compact(always));
  // What comes after it is acknowledged outside of what the power takes away.
  for (const char* key : {"then", "later"}) {
    const auto txn = (*kv)->write();
    if (!txn || !(*txn)->put(two, view_of(key), view_of("1")) || !(*txn)->commit()) return;
    std::ofstream(std::getenv("DOZO_KV_SAID"), std::ios::app) << key << '\n';
  }
}

namespace {

std::string said_by(const std::string& folder) { return std::filesystem::path(folder).parent_path().string() + ".said"; }

/// The status that it ended with, as waitpid has it.
int compact_in_child(const std::string& folder, const std::vector<std::pair<std::string, std::string>>& surroundings) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("DOZO_KV_FOLDER", folder.c_str(), 1);
    ::setenv("DOZO_KV_SAID", said_by(folder).c_str(), 1);
    for (const auto& [name, value] : surroundings) ::setenv(name.c_str(), value.c_str(), 1);
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(nowhere, 1);
    ::dup2(nowhere, 2);
    const std::string which = std::string("-tc=") + child_case;
    ::execl("/proc/self/exe", "kv_test", "-ns", which.c_str(), nullptr);
    ::_exit(99);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

/// A worn store, to be copied.
struct Worn {
  OnLmdb made;
  Rows before = worn(made);
  mutable int acknowledged = 0;
  Worn() { made.kv.reset(); }
  /// A folder of its own, with the same file.
  void copy_to(OnLmdb& body) const {
    body.kv.reset();
    std::filesystem::copy_file(made.folder + "/env/data.mdb", body.folder + "/env/data.mdb", std::filesystem::copy_options::overwrite_existing);
  }
  /// Opened again, it has all, and nothing is left of what came to nothing.
  void check(OnLmdb& body) const {
    body.kv = open_lmdb(body.folder + "/env", names).value();
    CHECK(rows(*body.kv->read().value(), one) == before);
    CHECK(text(body.kv->read().value()->get(two, view_of("commit"))) == "59");
    CHECK(files_in(body.folder + "/env") == just_it);
    std::ifstream said(said_by(body.folder + "/env"));
    for (std::string key; std::getline(said, key); ++acknowledged) CHECK(text(body.kv->read().value()->get(two, view_of(key))) == "1");
    std::filesystem::remove(said_by(body.folder + "/env"));
    const auto txn = body.kv->write().value();
    REQUIRE(txn->put(two, view_of("goes"), view_of("on")));
    REQUIRE(txn->commit());
  }
};

}  // namespace

TEST_CASE("kv on LMDB: killed at any moment of a compaction, the next start finds all, and takes away what was left") {
  const Worn it;
  int looked = 0;
  for (int wait_us = 0; wait_us < 6'000; wait_us += 300) {
    OnLmdb body;
    it.copy_to(body);
    const std::string folder = body.folder + "/env";
    const pid_t child = ::fork();
    if (child == 0) {
      const auto kv = open_lmdb(folder, names);
      if (kv) static_cast<void>((*kv)->compact(always));
      ::_exit(0);
    }
    for (int i = 0; i < 5'000 && !std::filesystem::exists(folder + "/compact.mdb"); ++i) ::usleep(200);
    ::usleep(static_cast<useconds_t>(wait_us));
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    looked += files_in(folder) != just_it ? 1 : 0;
    it.check(body);
  }
  CHECK(looked > 0);
}

TEST_CASE("kv on LMDB: at whichever call of a compaction the power goes, the next start finds all") {
  const char* library = std::getenv("DOZO_POWER_CUT");
  if (library == nullptr) {
    MESSAGE("skipped: where CMake's test has not said which library cuts the power");
    return;
  }
  const Worn it;
  int cuts = 0;
  for (int at = 1;; ++at) {
    OnLmdb body;
    it.copy_to(body);
    const int status = compact_in_child(
        body.folder + "/env",
        {{"LD_PRELOAD", library}, {"DOZO_POWER_ROOT", body.folder + "/"}, {"DOZO_POWER_AT", std::to_string(at)}, {"DOZO_POWER_SEED", std::to_string(at)}});
    it.check(body);
    if (WIFEXITED(status)) {
      CHECK(WEXITSTATUS(status) == 0);
      break;
    }
    ++cuts;
  }
  CHECK(cuts > 20);
  CHECK(it.acknowledged > 3);
}

TEST_CASE("kv on LMDB: whichever call of a compaction fails, all is as it was") {
  const char* library = std::getenv("DOZO_FAILING_LIBRARY");
  if (library == nullptr) {
    MESSAGE("skipped: where CMake's test has not said which library makes calls fail");
    return;
  }
  const Worn it;
  int failed = 0;
  for (int at = 1;; ++at) {
    OnLmdb body;
    it.copy_to(body);
    const std::string said = body.folder + "/said";
    const int status = compact_in_child(body.folder + "/env", {{"LD_PRELOAD", library},
                                                               {"DOZO_FAIL_ROOT", body.folder + "/env/"},
                                                               {"DOZO_FAIL_AT", std::to_string(at)},
                                                               {"DOZO_FAIL_SEED", std::to_string(at)},
                                                               {"DOZO_FAIL_SAID", said}});
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    it.check(body);
    if (!std::filesystem::exists(said)) break;
    ++failed;
  }
  CHECK(failed > 30);
}

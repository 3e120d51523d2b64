// Goal: both bodies of the seam keep the same promises. Method: one suite over a factory that can also "die and come back".
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "store/kv_lmdb_environment.h"
#include "tests/kv_fixture.h"

using namespace dozo;
using namespace dozo::store;
using namespace kv_test;

TEST_CASE_TEMPLATE("kv: what was committed is there after reopening, what was not is not", Body, OnMemory, OnLmdb) {
  Body body;
  {
    const auto txn = body.kv->write().value();
    REQUIRE(txn->put(one, view_of("a"), view_of("1")));
    CHECK(text(txn->get(one, view_of("a"))) == "1");
    CHECK(text(txn->get(two, view_of("a"))) == "-");
    REQUIRE(txn->commit());
  }
  {
    const auto txn = body.kv->write().value();
    REQUIRE(txn->put(one, view_of("b"), view_of("2")));
    CHECK(txn->erase(one, view_of("a")).value());
    CHECK(!txn->erase(one, view_of("a")).value());
    CHECK(text(txn->get(one, view_of("a"))) == "-");
    CHECK(txn->count(one).value() == 1);
  }
  body.reopen();
  const auto txn = body.kv->read().value();
  CHECK(rows(*txn, one) == Rows{{"a", "1"}});
}

TEST_CASE_TEMPLATE("kv: what is not expected to be read is there all the same", Body, OnMemory, OnLmdb) {
  Body body;
  for (const char* key : {"a", "b"}) {
    const auto txn = body.kv->write().value();
    txn->expect_no_reads();
    REQUIRE(txn->put(one, view_of(key), Bytes(300'000, static_cast<std::uint8_t>(*key))));
    REQUIRE(txn->commit());
  }
  const auto check = [&] {
    const auto txn = body.kv->read().value();
    for (const char* key : {"a", "b"}) CHECK(equal(**txn->get(one, view_of(key)), Bytes(300'000, static_cast<std::uint8_t>(*key))));
  };
  check();
  body.reopen();
  check();
}

TEST_CASE_TEMPLATE("kv: a cursor walks in byte order, from anywhere, through uncommitted changes", Body, OnMemory, OnLmdb) {
  Body body;
  const auto txn = body.kv->write().value();
  for (const char* key : {"b", "d", "f"}) REQUIRE(txn->put(one, view_of(key), view_of(key)));
  REQUIRE(txn->commit());
  const auto next = body.kv->write().value();
  REQUIRE(next->put(one, view_of("e"), view_of("new")));
  REQUIRE(next->erase(one, view_of("d")));
  REQUIRE(next->put(one, view_of("f"), view_of("other")));
  CHECK(rows(*next, one) == Rows{{"b", "b"}, {"e", "new"}, {"f", "other"}});
  CHECK(rows(*next, one, "c") == Rows{{"e", "new"}, {"f", "other"}});
  CHECK(rows(*next, one, "g").empty());
  CHECK(rows(*next, two).empty());
  const auto cursor = next->cursor(one).value();
  REQUIRE(cursor->last().value());
  CHECK(text_of(cursor->key()) == "f");
  CHECK(!next->cursor(two).value()->last().value());
}

TEST_CASE_TEMPLATE("kv: long keys, large values and empty values are kept", Body, OnMemory, OnLmdb) {
  Body body;
  const Bytes key(key_bytes_most, 7), large((1U << 20) - 16, 9);
  {
    const auto txn = body.kv->write().value();
    REQUIRE(txn->put(one, key, large));
    REQUIRE(txn->put(one, view_of("empty"), {}));
    const ByteSpan room = txn->reserve(one, view_of("room"), 5).value();
    std::fill(room.begin(), room.end(), std::uint8_t{'x'});
    REQUIRE(txn->commit());
  }
  const auto txn = body.kv->read().value();
  CHECK(equal(**txn->get(one, key), large));
  CHECK((*txn->get(one, view_of("empty")))->empty());
  CHECK(text(txn->get(one, view_of("room"))) == "xxxxx");
}

TEST_CASE_TEMPLATE("kv: agrees with a plain map over random work", Body, OnMemory, OnLmdb) {
  Body body;
  std::mt19937 dice(7);
  std::map<std::string, std::string> model;
  for (int round = 0; round < 60; ++round) {
    auto changed = model;
    const auto txn = body.kv->write().value();
    for (int step = 0; step < 20; ++step) {
      const std::string key = std::to_string(dice() % 50);
      if (dice() % 3 == 0) {
        CHECK(txn->erase(one, view_of(key)).value() == (changed.erase(key) > 0));
      } else {
        changed[key] = std::to_string(dice());
        REQUIRE(txn->put(one, view_of(key), view_of(changed[key])));
      }
    }
    CHECK(rows(*txn, one) == Rows(changed.begin(), changed.end()));
    if (dice() % 3 != 0) {
      REQUIRE(txn->commit());
      model = changed;
    }
  }
  body.reopen();
  CHECK(rows(*body.kv->read().value(), one) == Rows(model.begin(), model.end()));
}

TEST_CASE_TEMPLATE("kv: a cursor finds the last key below a place", Body, OnMemory, OnLmdb) {
  Body body;
  const auto first = body.kv->write().value();
  for (const char* key : {"b", "d", "f"}) REQUIRE(first->put(one, view_of(key), view_of(key)));
  REQUIRE(first->commit());
  const auto below = [&](ReadTransaction& txn, std::string_view key) -> std::string {
    const auto cursor = txn.cursor(one).value();
    return cursor->seek_last_below(view_of(key)).value() ? std::string(text_of(cursor->key())) : "-";
  };
  {
    const auto txn = body.kv->read().value();
    CHECK(below(*txn, "") == "-");
    CHECK(below(*txn, "a") == "-");
    CHECK(below(*txn, "b") == "-");
    CHECK(below(*txn, "c") == "b");
    CHECK(below(*txn, "d") == "b");
    CHECK(below(*txn, "z") == "f");
    CHECK(!txn->cursor(two).value()->seek_last_below(view_of("z")).value());
  }
  const auto txn = body.kv->write().value();
  REQUIRE(txn->erase(one, view_of("d")));
  REQUIRE(txn->put(one, view_of("e"), view_of("new")));
  CHECK(below(*txn, "e") == "b");
  CHECK(below(*txn, "f") == "e");
  REQUIRE(txn->erase(one, view_of("b")));
  CHECK(below(*txn, "e") == "-");
}

TEST_CASE_TEMPLATE("kv: a cursor kept across writes goes on after the key that it showed", Body, OnMemory, OnLmdb) {
  Body body;
  const auto txn = body.kv->write().value();
  for (int i = 0; i < 500; ++i) REQUIRE(txn->put(one, view_of(std::to_string(1000 + i)), Bytes(40, 1)));
  const auto cursor = txn->cursor(one).value();
  std::vector<std::string> seen;
  for (bool there = cursor->seek({}).value(); there; there = cursor->next().value()) {
    const std::string key(text_of(cursor->key()));
    seen.push_back(key);
    REQUIRE(txn->erase(one, view_of(key)).value());                           // the one that it stands on
    REQUIRE(txn->put(one, view_of("0" + key), Bytes(40, 2)));                 // one before it
    if (seen.size() == 3) REQUIRE(txn->erase(one, view_of("1003")).value());  // the next one
  }
  CHECK(seen.size() == 499);
  CHECK(std::is_sorted(seen.begin(), seen.end()));
  CHECK(!cursor->next().value());  // after the end it stays there
  CHECK(txn->count(one).value() == 499);
}

TEST_CASE_TEMPLATE("kv: a reader sees what was there when it began, also across commits", Body, OnMemory, OnLmdb) {
  Body body;
  const auto put = [&](std::string_view key, std::string_view value) {
    const auto txn = body.kv->write().value();
    REQUIRE(txn->put(one, view_of(key), view_of(value)));
    REQUIRE(txn->commit());
  };
  put("a", "1");
  put("b", "1");
  const auto before = body.kv->read().value();
  put("a", "2");
  put("c", "2");
  const auto between = body.kv->read().value();
  {
    const auto txn = body.kv->write().value();
    REQUIRE(txn->erase(one, view_of("b")));
    REQUIRE(txn->put(one, view_of("a"), view_of("3")));
    CHECK(rows(*between, one) == Rows{{"a", "2"}, {"b", "1"}, {"c", "2"}});
    REQUIRE(txn->commit());
  }
  CHECK(rows(*before, one) == Rows{{"a", "1"}, {"b", "1"}});
  CHECK(before->count(one).value() == 2);
  CHECK(rows(*between, one) == Rows{{"a", "2"}, {"b", "1"}, {"c", "2"}});
  CHECK(between->count(one).value() == 3);
  CHECK(rows(*body.kv->read().value(), one) == Rows{{"a", "3"}, {"c", "2"}});
  const KvStats stats = body.kv->stats().value();
  CHECK(stats.readers == 2);
  CHECK(stats.oldest_reader_behind == 3);
  CHECK(stats.used_bytes > 0);
}

TEST_CASE_TEMPLATE("kv: an empty and an overlong key are refused, and that ends the write transaction", Body, OnMemory, OnLmdb) {
  Body body;
  const Bytes overlong(key_bytes_most + 1, 7);
  {
    const auto reader = body.kv->read().value();
    CHECK(reader->get(one, {}).error().fault == Fault::malformed);
    CHECK(reader->get(one, overlong).error().fault == Fault::over_limit);
    CHECK(!reader->get(one, view_of("a")).value());  // a reader goes on
  }
  const auto refused = [&](const auto& act, Fault fault) {
    const auto txn = body.kv->write().value();
    REQUIRE(txn->put(one, view_of("a"), view_of("1")));
    CHECK(act(*txn).error().fault == fault);
    CHECK(!txn->put(one, view_of("b"), view_of("1")));
    CHECK(!txn->get(one, view_of("a")));
    CHECK(!txn->commit());
  };
  refused([](WriteTransaction& txn) { return txn.put(one, {}, {}); }, Fault::malformed);
  refused([&](WriteTransaction& txn) { return txn.put(one, overlong, {}); }, Fault::over_limit);
  refused([&](WriteTransaction& txn) { return txn.erase(one, overlong); }, Fault::over_limit);
  refused([&](WriteTransaction& txn) { return txn.reserve(one, overlong, 1); }, Fault::over_limit);
  CHECK(body.kv->read().value()->count(one).value() == 0);
}

TEST_CASE_TEMPLATE("kv: room that was reserved holds what was put into it before the next call", Body, OnMemory, OnLmdb) {
  Body body;
  const auto txn = body.kv->write().value();
  const ByteSpan room = txn->reserve(one, view_of("a"), 3).value();
  std::fill(room.begin(), room.end(), std::uint8_t{'x'});
  CHECK(text(txn->get(one, view_of("a"))) == "xxx");
  const ByteSpan over = txn->reserve(one, view_of("a"), 2).value();
  std::fill(over.begin(), over.end(), std::uint8_t{'y'});
  REQUIRE(txn->put(one, view_of("b"), view_of("1")));
  REQUIRE(txn->commit());
  CHECK(rows(*body.kv->read().value(), one) == Rows{{"a", "yy"}, {"b", "1"}});
}

TEST_CASE("kv on memory: a view that is used after the next write shows that it is spoilt") {
  OnMemory body;
  const auto txn = body.kv->write().value();
  REQUIRE(txn->put(one, view_of("a"), view_of("1234")));
  const ByteView held = **txn->get(one, view_of("a"));
  CHECK(text_of(held) == "1234");
  REQUIRE(txn->put(one, view_of("b"), view_of("5")));
  CHECK(held[0] == 0xdd);
}

TEST_CASE("kv on memory: an image of the disk is a disk, and an old one can be put back") {
  OnMemory body;
  const auto put = [&](std::string_view key) {
    const auto txn = body.kv->write().value();
    REQUIRE(txn->put(one, view_of(key), view_of("1")));
    REQUIRE(txn->commit());
  };
  put("a");
  const MemoryDisk image = body.disk;
  put("b");
  body.kv.reset();
  body.disk = image;
  body.reopen();
  CHECK(rows(*body.kv->read().value(), one) == Rows{{"a", "1"}});
  CHECK(body.kv->stats().value().used_bytes == image.used_bytes);
}

TEST_CASE("kv on memory: a flipped bit is in the value that it names, and nowhere else") {
  OnMemory body;
  {
    const auto txn = body.kv->write().value();
    REQUIRE(txn->put(one, view_of("a"), Bytes(4, 0)));
    REQUIRE(txn->put(two, view_of("b"), Bytes(4, 0)));
    REQUIRE(txn->put(two, view_of("c"), {}));
    REQUIRE(txn->commit());
  }
  CHECK(body.disk.flip_bit(one, view_of("a"), 9));
  CHECK(body.disk.tables[0].at(bytes_of("a")) == Bytes{0, 2, 0, 0});
  CHECK(!body.disk.flip_bit(one, view_of("b"), 0));
  CHECK(!body.disk.flip_bit(two, view_of("c"), 0));
  CHECK(!body.disk.flip_bit(Table{9}, view_of("c"), 0));
  const auto hit = body.disk.flip_any_bit(64 + 33);  // of 64 bits the 33rd: the second row
  REQUIRE(hit);
  CHECK(hit->first == two);
  CHECK(body.disk.tables[1].at(bytes_of("b")) == Bytes{2, 0, 0, 0});
  MemoryDisk empty;
  CHECK(!empty.flip_any_bit(5));
}

TEST_CASE("kv on memory: whichever call fails or crashes, all of a transaction is there or nothing") {
  for (const Injected what : {Injected::fail, Injected::crash, Injected::crash_after}) {
    for (std::uint64_t n = 1;; ++n) {
      OnMemory body;
      auto& kv = static_cast<MemoryKv&>(*body.kv);
      kv.inject_at(n, what);
      const auto work = [&]() -> Result<void> {
        const auto txn = TRY(kv.write());
        TRY(txn->put(one, view_of("a"), view_of("1")));
        TRY(txn->put(two, view_of("a"), view_of("1")));
        return txn->commit();
      };
      const Result<void> done = work();
      CHECK(kv.crashed() == (!done && what != Injected::fail));
      const bool reached = kv.calls() >= n;
      body.reopen();
      const auto txn = body.kv->read().value();
      const bool durable = done || (what == Injected::crash_after && n == 4);
      CHECK(txn->count(one).value() == (durable ? 1 : 0));
      CHECK(txn->count(two).value() == (durable ? 1 : 0));
      CHECK(done.has_value() == !reached);
      if (!reached) break;
    }
  }
}

TEST_CASE("kv on memory: a full disk is said, and loses nothing") {
  OnMemory body;
  body.disk.bytes_most = 100;
  {
    const auto txn = body.kv->write().value();
    REQUIRE(txn->put(one, view_of("a"), Bytes(50)));
    REQUIRE(txn->commit());
  }
  const auto txn = body.kv->write().value();
  CHECK(txn->put(one, view_of("b"), Bytes(60)).error().fault == Fault::unavailable);
  CHECK(body.kv->read().value()->count(one).value() == 1);
}

TEST_CASE("kv on memory: after a crash every call fails, and the disk has what was committed") {
  OnMemory body;
  auto& kv = static_cast<MemoryKv&>(*body.kv);
  const auto txn = kv.write().value();
  REQUIRE(txn->put(one, view_of("a"), view_of("1")));
  kv.crash();
  CHECK(!txn->put(one, view_of("b"), view_of("1")));
  CHECK(!txn->commit());
  CHECK(!kv.read());
  body.reopen();
  CHECK(rows(*body.kv->read().value(), one).empty());
}

TEST_CASE("kv on memory: any operation can be made to fail") {
  OnMemory body;
  auto& kv = static_cast<MemoryKv&>(*body.kv);
  for (const std::string failing : {"write", "put", "get", "erase", "commit"}) {
    kv.set_hook([&](std::string_view operation) { return operation != failing; });
    const auto work = [&]() -> Result<void> {
      const auto txn = TRY(kv.write());
      TRY(txn->put(one, view_of("a"), view_of("1")));
      TRY(txn->get(one, view_of("a")));
      TRY(txn->erase(one, view_of("b")));
      return txn->commit();
    };
    CHECK(work().error().fault == Fault::unavailable);
  }
}

TEST_CASE("kv on LMDB: a foreign or ruined file is refused in one line, and its check survives it") {
  OnLmdb body;
  {
    const auto txn = body.kv->write().value();
    for (int i = 0; i < 2000; ++i) REQUIRE(txn->put(one, view_of(std::to_string(i)), Bytes(100)));
    REQUIRE(txn->commit());
  }
  body.kv.reset();
  CHECK(check_lmdb_in_child(body.folder + "/env", names));
  const std::string file = body.folder + "/env/data.mdb";
  std::FILE* data = std::fopen(file.c_str(), "r+b");
  REQUIRE(data != nullptr);
  const Bytes noise(4096 * 20, 0xff);
  std::fseek(data, 4096 * 4, SEEK_SET);
  std::fwrite(noise.data(), 1, noise.size(), data);
  std::fclose(data);
  CHECK(check_lmdb_in_child(body.folder + "/env", names).error().fault == Fault::corrupt);
  // Every page but the two that say where the tree begins: the tables only seem to be missing.
  data = std::fopen(file.c_str(), "r+b");
  REQUIRE(data != nullptr);
  std::fseek(data, 4096 * 2, SEEK_SET);
  std::fwrite(Bytes(4096 * 20, 0x5a).data(), 1, 4096 * 20, data);
  std::fclose(data);
  CHECK(check_lmdb_in_child(body.folder + "/env", names).error().fault == Fault::corrupt);
  std::filesystem::resize_file(file, 0);
  data = std::fopen(file.c_str(), "r+b");
  REQUIRE(data != nullptr);
  std::fwrite(noise.data(), 1, noise.size(), data);
  std::fclose(data);
  CHECK(open_lmdb(body.folder + "/env", names).error().fault == Fault::unsupported);
  std::filesystem::remove(file);
  body.kv = open_lmdb(body.folder + "/env", names).value();
  // As a first start leaves it that was cut off before it wrote anything.
  body.kv.reset();
  std::filesystem::resize_file(file, 0);
  CHECK(check_lmdb_in_child(body.folder + "/env", names));
  LmdbOptions reading;
  reading.read_only = true;
  CHECK(open_lmdb(body.folder + "/env", names, reading).error().fault == Fault::not_found);
  body.kv = open_lmdb(body.folder + "/env", names).value();
}

TEST_CASE("kv on LMDB: a check that is ended from outside, as for want of memory, is to be tried again; one that crashes has met damage") {
  struct Case {
    int signal;
    Fault fault;
  };
  for (const Case& it : {Case{SIGKILL, Fault::unavailable}, Case{SIGSEGV, Fault::corrupt}, Case{SIGFPE, Fault::corrupt}}) {
    OnLmdb body;
    const std::string folder = body.folder + "/waits";
    REQUIRE(::mkdir(folder.c_str(), 0700) == 0);
    REQUIRE(::mkfifo((folder + "/data.mdb").c_str(), 0600) == 0);  // whoever opens it waits
    const pid_t parent = ::getpid(), killer = ::fork();
    if (killer == 0) {
      for (int turn = 0; turn < 1'000; ++turn) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        std::ifstream children("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children");
        for (pid_t child = 0; children >> child;) {
          if (child == ::getpid()) continue;
          std::this_thread::sleep_for(std::chrono::milliseconds(100));  // until it waits
          ::kill(child, it.signal);
          ::_exit(0);
        }
      }
      ::_exit(1);
    }
    const Result<void> checked = check_lmdb_in_child(folder, names);
    int status = 0;
    ::waitpid(killer, &status, 0);
    CHECK(status == 0);
    REQUIRE(!checked);
    CHECK(checked.error().fault == it.fault);
  }
}

TEST_CASE("kv on LMDB: a full map is said, loses nothing, and has grown at the next write") {
  OnLmdb body;
  body.kv.reset();
  LmdbOptions options;
  options.map_bytes_first = 1U << 20;
  options.map_bytes_most = 4U << 20;
  body.kv = open_lmdb(body.folder + "/small", names, options).value();
  const auto fill = [&](std::string_view key, std::size_t size) -> Result<void> {
    const auto txn = TRY(body.kv->write());
    TRY(txn->put(one, view_of(key), Bytes(size, 1)));
    return txn->commit();
  };
  REQUIRE(fill("a", 400'000));
  const auto full = fill("b", 900'000);
  REQUIRE(!full);
  CHECK(full.error().fault == Fault::unavailable);
  CHECK(full.error().text.find("grows at the next write") != std::string::npos);
  {
    const auto reader = body.kv->read().value();  // in the way of growing
    CHECK(fill("b", 900'000).error().fault == Fault::unavailable);
    CHECK(reader->count(one).value() == 1);
  }
  CHECK(fill("b", 900'000));
  CHECK(body.kv->stats().value().map_bytes == 2U << 20);
  REQUIRE(!fill("c", 3'000'000));
  const auto limit = fill("c", 3'000'000);
  REQUIRE(!limit);
  CHECK(limit.error().text.find("size limit") != std::string::npos);
  CHECK(fill("d", 10));
  CHECK(body.kv->read().value()->count(one).value() == 3);
}

TEST_CASE("kv on LMDB: a full disk is said, loses nothing, and writing goes on when there is room") {
  OnLmdb body;
  const auto fill = [&](std::string_view key, std::size_t size) -> Result<void> {
    const auto txn = TRY(body.kv->write());
    TRY(txn->put(one, view_of(key), Bytes(size, 1)));
    return txn->commit();
  };
  REQUIRE(fill("a", 100));
  // A limit on the size of files stands for the disk's end: the write comes back short in the same way.
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  rlimit tight = before;
  tight.rlim_cur = 300'000;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
  const auto full = fill("b", 2'000'000);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, ignored);
  REQUIRE(!full);
  CHECK(full.error().fault == Fault::unavailable);
  CHECK(full.error().text.find("disk is full") != std::string::npos);
  CHECK(body.kv->read().value()->count(one).value() == 1);
  CHECK(fill("b", 2'000'000));
  body.reopen();
  CHECK(body.kv->read().value()->count(one).value() == 2);
}

TEST_CASE("kv on LMDB: a folder is opened once, for its owner alone, and read-only makes nothing") {
  OnLmdb body;
  CHECK(open_lmdb(body.folder + "/env", names).error().fault == Fault::exists);
  CHECK(open_lmdb(body.folder + "/../" + std::filesystem::path(body.folder).filename().string() + "/env", names).error().fault == Fault::exists);
  struct stat it{};
  REQUIRE(::stat((body.folder + "/env").c_str(), &it) == 0);
  CHECK((it.st_mode & 0777) == 0700);
  REQUIRE(::stat((body.folder + "/env/data.mdb").c_str(), &it) == 0);
  CHECK((it.st_mode & 0777) == 0600);
  LmdbOptions options;
  options.read_only = true;
  CHECK(open_lmdb(body.folder + "/none", names, options).error().fault == Fault::not_found);
  CHECK(!std::filesystem::exists(body.folder + "/none"));
  body.kv.reset();
  const std::vector<std::string> more{"one", "three"};
  CHECK(open_lmdb(body.folder + "/env", more, options).error().fault == Fault::not_found);
  CHECK(open_lmdb(body.folder + "/env", more));   // with the new table
  CHECK(open_lmdb(body.folder + "/env", names));  // and the old one is still there
  CHECK(check_lmdb_in_child(body.folder + "/none", names));
}

TEST_CASE("kv on LMDB: a writer in another thread waits for its turn") {
  OnLmdb body;
  auto first = body.kv->write().value();
  REQUIRE(first->put(one, view_of("a"), view_of("1")));
  std::string seen = "?";
  std::thread other([&] {
    const auto txn = body.kv->write().value();
    seen = text(txn->get(one, view_of("a")));
  });
  REQUIRE(first->commit());
  first.reset();
  other.join();
  CHECK(seen == "1");
}

TEST_CASE("kv on LMDB: a cursor may be dropped after its transaction") {
  OnLmdb body;
  std::unique_ptr<Cursor> reading, writing;
  {
    const auto txn = body.kv->write().value();
    writing = txn->cursor(one).value();
    REQUIRE(txn->put(one, view_of("a"), view_of("1")));
    REQUIRE(writing->seek({}).value());
    REQUIRE(txn->commit());
    const auto reader = body.kv->read().value();
    reading = reader->cursor(one).value();
    REQUIRE(reading->seek({}).value());
  }
  writing.reset();
  reading.reset();
  CHECK(body.kv->stats().value().readers == 0);
}

// A store whose writes were torn was called busy for want of a name (status 7, "try again"): LMDB says "page has no more space" of a damaged one at its start.
TEST_CASE("kv on LMDB: what LMDB calls an internal error is damage, and says what to run") {
  for (const int code : {MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_PAGE_FULL, MDB_CURSOR_FULL, MDB_BAD_TXN}) {
    const std::unexpected<Error> failed = store::lmdb_failure(code, "truth", "open a table");
    const Error& error = failed.error();
    CHECK(error.fault == Fault::corrupt);
    CHECK(error.text.ends_with("run dozo fsck"));
  }
  CHECK(store::lmdb_failure(MDB_READERS_FULL, "truth", "read").error().fault == Fault::unavailable);
}

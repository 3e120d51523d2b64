// Goal: both bodies of the seam keep the same promises. Method: one suite over a factory that can also "die and come back".
#include <doctest/doctest.h>
#include <stdlib.h>

#include <map>
#include <random>

#include "store/kv_lmdb.h"
#include "store/kv_memory.h"

using namespace dozo;
using namespace dozo::store;

namespace {

const std::vector<std::string> names{"one", "two"};
constexpr Table one{0}, two{1};

struct OnMemory {
  MemoryDisk disk;
  std::unique_ptr<Kv> kv = std::make_unique<MemoryKv>(disk, names.size());
  void reopen() {
    kv.reset();
    kv = std::make_unique<MemoryKv>(disk, names.size());
  }
};
struct OnLmdb {
  std::string folder = [] {
    std::string name = "/tmp/dozo-kv-XXXXXX";
    REQUIRE(mkdtemp(name.data()) != nullptr);
    return name;
  }();
  std::unique_ptr<Kv> kv = open_lmdb(folder + "/env", names).value();
  void reopen() {
    kv.reset();
    kv = open_lmdb(folder + "/env", names).value();
  }
  ~OnLmdb() {
    kv.reset();
    std::filesystem::remove_all(folder);
  }
};

std::string text(const Result<std::optional<ByteView>>& got) { return got && *got ? std::string(text_of(**got)) : "-"; }

using Rows = std::vector<std::pair<std::string, std::string>>;
Rows rows(ReadTransaction& txn, Table table, std::string_view from = {}) {
  Rows out;
  const auto cursor = txn.cursor(table).value();
  for (bool there = cursor->seek(view_of(from)).value(); there; there = cursor->next().value())
    out.emplace_back(text_of(cursor->key()), text_of(cursor->value()));
  return out;
}

}  // namespace

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
  std::filesystem::resize_file(file, 0);
  data = std::fopen(file.c_str(), "r+b");
  REQUIRE(data != nullptr);
  std::fwrite(noise.data(), 1, noise.size(), data);
  std::fclose(data);
  CHECK(open_lmdb(body.folder + "/env", names).error().fault == Fault::unsupported);
  std::filesystem::remove(file);
  body.kv = open_lmdb(body.folder + "/env", names).value();
}

// Both bodies of the Kv, each in a way that can die and come back, with two tables.
#pragma once
#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "store/kv_lmdb.h"
#include "store/kv_memory.h"

namespace kv_test {
using namespace dozo;
using namespace dozo::store;

inline const std::vector<std::string> names{"one", "two"};
inline constexpr Table one{0}, two{1};

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

inline std::string text(const Result<std::optional<ByteView>>& got) { return got && *got ? std::string(text_of(**got)) : "-"; }

using Rows = std::vector<std::pair<std::string, std::string>>;
inline Rows rows(ReadTransaction& txn, Table table, std::string_view from = {}) {
  Rows out;
  const auto cursor = txn.cursor(table).value();
  for (bool there = cursor->seek(view_of(from)).value(); there; there = cursor->next().value())
    out.emplace_back(text_of(cursor->key()), text_of(cursor->value()));
  return out;
}

}  // namespace kv_test

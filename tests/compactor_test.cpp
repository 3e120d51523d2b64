// Compactor: a store at rest is compacted once, a busy one is left alone, and one that is never done in time is tried ever more seldom.
#include "node/compactor.h"

#include <doctest/doctest.h>

#include <atomic>

#include "store/kv_memory.h"

namespace {
using namespace dozo;
using namespace std::chrono_literals;

/// Says of itself what the test wants.
class Posing final : public store::MemoryKv {
 public:
  using store::MemoryKv::MemoryKv;
  Result<store::KvStats> stats() override {
    store::KvStats out;
    out.used_bytes = 10 << 20;
    out.free_bytes = free_bytes;
    out.commits = commits;
    if (busy) ++commits;
    return out;
  }
  Result<bool> compact(const std::function<bool()>& go_on) override {
    ++asked;
    if (until_stopped) {
      while (go_on()) std::this_thread::sleep_for(1ms);
      return false;
    }
    if (succeeds) free_bytes = 0;
    return succeeds;
  }
  std::atomic<std::uint64_t> free_bytes = 5 << 20, commits = 1;
  std::atomic<bool> busy = false, succeeds = true, until_stopped = false;
  std::atomic<int> asked = 0;
};

struct Bench {
  store::MemoryDisk disk;
  Posing kv{disk, 1};
  node::CompactorOptions quick{.rest_ms = 5, .vain_ms = 200};
  bool comes(int asked) const {
    for (int i = 0; i < 2'000 && kv.asked < asked; ++i) std::this_thread::sleep_for(5ms);
    return kv.asked >= asked;
  }
};

}  // namespace

TEST_CASE("compactor: a store at rest is compacted once, and again after it was written to") {
  Bench it;
  node::Compactor compactor(it.kv, it.quick);
  REQUIRE(it.comes(1));
  std::this_thread::sleep_for(100ms);
  CHECK(it.kv.asked == 1);
  const auto news = compactor.take_news();
  REQUIRE(news.size() == 1);
  CHECK_FALSE(news.front().failed);
  CHECK(news.front().text == "the derived store is compacted: 10240 to 10240 KiB");
  CHECK(compactor.take_news().empty());
  it.kv.free_bytes = 5 << 20;  // not without a commit
  std::this_thread::sleep_for(100ms);
  CHECK(it.kv.asked == 1);
  ++it.kv.commits;
  CHECK(it.comes(2));
}

TEST_CASE("compactor: a busy store, and one with little to give back, is left alone") {
  for (const bool busy : {true, false}) {
    Bench it;
    it.kv.busy = busy;
    if (!busy) it.kv.free_bytes = 2 << 20;
    const node::Compactor compactor(it.kv, it.quick);
    std::this_thread::sleep_for(150ms);
    CHECK(it.kv.asked == 0);
  }
}

TEST_CASE("compactor: what comes to nothing is tried again ever later, and a stop does not wait for it") {
  Bench it;
  it.kv.succeeds = false;
  {
    node::Compactor compactor(it.kv, it.quick);
    const auto began = std::chrono::steady_clock::now();
    REQUIRE(it.comes(4));
    CHECK(std::chrono::steady_clock::now() - began >= 1400ms);  // 200 + 400 + 800
    CHECK(compactor.take_news().empty());
  }
  it.kv.until_stopped = true;
  it.kv.asked = 0;
  {
    const node::Compactor compactor(it.kv, it.quick), other(it.kv, it.quick);
    REQUIRE(it.comes(1));
  }
  CHECK(it.kv.asked >= 1);
}

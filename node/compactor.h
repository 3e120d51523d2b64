// Compactor: gives back to the file system what the derived store does not need, while nobody writes to it.
//
// Each batch of a save touches pages all over that store, and LMDB keeps the old ones for reuse: after 20,000 documents a third of the file.
// Not here: how a store is compacted (store/kv.h).
// Threads: one of its own; made and destroyed by one owner. What the constructor was given outlives it.
#pragma once
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "store/kv.h"

namespace dozo::node {

struct CompactorOptions {
  std::int64_t rest_ms = 3000;                ///< nothing was committed for so long, or up to twice that
  std::uint64_t free_bytes_least = 1U << 20;  ///< that wait for reuse, and one part of so many of the file: less is not worth the writing
  std::uint64_t free_part_least = 4;
  std::int64_t vain_ms = 60'000;          ///< until the next one at the earliest
  std::int64_t vain_ms_most = 3'600'000;  ///< that is doubled up to here after each that came to nothing: a busy store is not copied for ever
};

class Compactor {
 public:
  explicit Compactor(store::Kv& kv, const CompactorOptions& options = {});
  Compactor(const Compactor&) = delete;
  Compactor& operator=(const Compactor&) = delete;
  ~Compactor();  ///< one that is under way is given up, which leaves all as it was

  struct News {
    bool failed{};
    std::string text;
  };
  std::vector<News> take_news();  ///< what came of it, a line each

 private:
  void work();
  void look();
  void say(News line);

  store::Kv& kv_;
  const CompactorOptions options_;
  std::uint64_t commits_ = 0;    ///< when it looked last
  std::uint64_t compacted_ = 0;  ///< commits when it compacted last
  std::int64_t vain_ms_;
  std::chrono::steady_clock::time_point not_before_;
  std::mutex mutex_;  ///< for the next three
  std::condition_variable changed_;
  bool stop_ = false;
  std::vector<News> news_;
  std::thread thread_;
};

}  // namespace dozo::node

// Pack keeper: makes the packs of a long save durable ahead of the entry that will list them, in batches, while the save goes on.
//
// A death in the midst leaves packs that no entry lists, never an entry without its packs.
// Threads: one owner; with `threaded` a thread of its own writes, so that reading and sealing need not wait for the disk.
#pragma once
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "store/pack.h"
#include "store/truth.h"

namespace dozo::node {

class PackKeeper {
 public:
  static constexpr std::size_t batch_bytes_most = 8U << 20;  ///< of one transaction: more cost memory and make others wait
  static constexpr std::size_t queued_bytes_most = 16U << 20;

  /// `truth` outlives it.
  PackKeeper(store::Truth& truth, bool threaded);
  PackKeeper(const PackKeeper&) = delete;
  PackKeeper& operator=(const PackKeeper&) = delete;
  ~PackKeeper();

  /// Waits while too much is queued. Fault: what an earlier write met; every later call gives it again.
  Result<void> keep(const PackAddress& address, Bytes sealed);
  /// All that was given to keep() is durable.
  Result<void> finish();

 private:
  struct Pack {
    PackAddress address;
    Bytes sealed;
  };
  Result<void> write(const std::vector<Pack>& batch);
  void work();
  std::vector<Pack> next_batch();

  store::Truth& truth_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Pack> queue_;
  std::size_t queued_bytes_ = 0;
  bool writing_ = false;
  bool stop_ = false;
  std::optional<Error> fault_;
  std::optional<std::thread> thread_;
};

}  // namespace dozo::node

// Arrived packs: makes packs that came from peers durable, and looks into those that this node has the keys of, beside the engine's thread: the disk and
// the hashes of a large transfer hold up nothing else.
//
// One batch at a time; the engine gathers the next one meanwhile.
// Not here: which packs are wanted and whether these are the bytes (Library::check_pack), what follows from their being here (Library::packs_durable).
// Threads: one owner. With `woken` a thread of its own writes; without, write() does it, and the engine does the same at the same inputs, as in a simulation.
#pragma once
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "crypto/pack_seal.h"
#include "store/pack.h"
#include "store/truth.h"
#include "sync/messages.h"

namespace dozo::node {

class ArrivedPacks {
 public:
  struct Pack {
    sync::ObjectId id;  ///< of a pack; checked
    Bytes sealed;
    std::shared_ptr<const crypto::EpochKey> key;  ///< to look into it with; none: nobody looks into it here
    /// Where its pieces lie, each of them hashed. Nothing: it was not looked into, or is not what a pack must be.
    std::optional<std::vector<store::PiecePlace>> places;
  };
  struct Batch {
    std::vector<Pack> packs;
    bool expect_no_reads{};  ///< they are many (kv.h)
    Result<void> written;    ///< all of them are durable, or none is and there is no `places`
  };

  /// `truth`, and what `woken` uses, outlive it. `woken`, called on the other thread: there is something to take.
  ArrivedPacks(store::Truth& truth, std::function<void()> woken);
  ArrivedPacks(const ArrivedPacks&) = delete;
  ArrivedPacks& operator=(const ArrivedPacks&) = delete;
  ~ArrivedPacks();  ///< waits until what was given to write() is written

  bool is_busy() const { return busy_; }  ///< from write() until take() gave that batch back
  /// Needs: not busy.
  void write(Batch batch);
  /// The batch that was given to write(), once that is done.
  std::optional<Batch> take();
  bool has_something() const;  ///< take() would give a batch

 private:
  void work();

  store::Truth& truth_;
  std::function<void()> woken_;
  bool busy_ = false;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Batch> to_write_, done_;
  bool stop_ = false;
  std::optional<std::thread> thread_;
};

}  // namespace dozo::node

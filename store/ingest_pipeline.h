// Ingest pipeline: who does what when inside an Ingest. Batches are hashed by many, put into packs by one at a time in their order, sealed by many, and
// given to the sink in their order on the owner's thread. Knows nothing of what the stages do. Part of ingest.cpp; not for others.
//
// The owner's thread does the work of a worker whenever it would have to wait; with no workers it does all, each batch to its end.
// Threads: one owner; stages run on any thread, `assemble` on one at a time.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "store/ingest.h"

namespace dozo::store {

/// A run of one content's bytes, cut.
struct Batch {
  struct Cut {
    std::uint32_t offset{};
    std::uint32_t size{};
  };
  Bytes buffer;
  std::vector<Cut> cuts;
  std::vector<PieceId> ids;  ///< of the cuts, once hashed
  bool begins = false;       ///< the content's first
  bool ends = false;         ///< its last
  bool dropped = false;      ///< with `ends`: the content could not be read, there is no manifest
  ContentTraits traits;      ///< these three with `ends`
  Digest sha256;
  std::uint64_t content_size{};
};

class IngestPipeline {
 public:
  struct Stages {
    std::function<void(Batch&)> hash;
    std::function<void(const Batch&, std::vector<PackImage>&)> assemble;
    std::function<SealedPack(PackImage)> seal;
  };
  static constexpr std::size_t batch_bytes = 2U << 20;
  static constexpr std::size_t batches_bytes_most = 10U << 20;  ///< those handed over and not yet in packs
  static constexpr std::size_t batches_most = 128;
  static constexpr std::size_t run_bytes = 64U << 10;         ///< so much is taken at a time: a small file is not worth a lock
  static constexpr std::size_t announced_bytes = 128U << 10;  ///< a worker is woken for so much, or when the owner waits
  static constexpr std::size_t packs_most = 8;                ///< those laid out and not yet taken; a run of batches may add a few beyond it

  IngestPipeline(unsigned workers, Stages stages, PackSink sink);
  ~IngestPipeline();

  /// A buffer of exactly this size; its bytes are whatever they are.
  Bytes take_buffer(std::size_t size);
  void give_back(Bytes&& buffer);
  // Each of these gives packs to the sink while it waits. Fault: the sink's, then and ever after.
  Result<void> push(Batch batch);
  Result<void> assemble_all();  ///< every batch is in packs: until the next push no stage runs but seal
  Result<void> push_image(PackImage image);
  Result<void> deliver_all();

  std::size_t held_bytes_peak() const { return held_peak_; }
  std::uint64_t packs() const { return packs_taken_; }
  std::uint64_t pack_bytes() const { return pack_bytes_taken_; }

 private:
  enum class State : std::uint8_t { waiting, busy, done };
  struct BatchSlot {
    Batch batch;
    State hashed = State::waiting;
    std::size_t bytes{};
  };
  struct PackSlot {
    PackImage image;
    SealedPack sealed;
    State state = State::waiting;
    std::size_t bytes{};
  };
  using Lock = std::unique_lock<std::mutex>;

  void work();
  bool step(Lock& lock);  ///< does one piece of work, if there is one
  bool step_seal(Lock& lock);
  bool step_assemble(Lock& lock);
  bool step_hash(Lock& lock);
  std::vector<BatchSlot*> run_from(std::list<BatchSlot>::iterator first, State state);
  Result<void> deliver(Lock& lock);
  template <class Done>
  Result<void> wait_for(Lock& lock, Done done);
  void wake(std::size_t pieces);  ///< of work that there is now, beyond the one that the caller takes next
  bool is_front_hashed() const { return !assembling_ && !batches_.empty() && batches_.front().hashed == State::done && packs_.size() < packs_most; }
  void add_image(PackImage image);
  void hold(std::size_t bytes);

  const Stages stages_;
  const PackSink sink_;
  std::mutex mutex_;
  // A wake costs more than what is done with a small file: a worker is woken for work that nobody awake will come to, the owner for what it waits for.
  std::condition_variable work_, owner_;
  std::size_t unannounced_bytes_ = 0;  ///< of batches for which nobody was woken
  bool stopping_ = false;
  bool assembling_ = false;
  std::list<BatchSlot> batches_;
  std::list<PackSlot> packs_;
  std::size_t batches_bytes_ = 0;
  std::vector<Bytes> free_buffers_;  ///< of batch_bytes each
  std::size_t held_ = 0, held_peak_ = 0;
  std::uint64_t packs_taken_ = 0, pack_bytes_taken_ = 0;
  std::optional<Error> error_;
  std::vector<std::thread> workers_;
};

}  // namespace dozo::store

#include "store/ingest_pipeline.h"

#include <algorithm>
#include <utility>

namespace dozo::store {

IngestPipeline::IngestPipeline(unsigned workers, Stages stages, PackSink sink) : stages_(std::move(stages)), sink_(std::move(sink)) {
  for (unsigned i = 0; i < workers; ++i) workers_.emplace_back([this] { work(); });
}

IngestPipeline::~IngestPipeline() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void IngestPipeline::work() {
  Lock lock(mutex_);
  while (!stopping_) {
    if (!step(lock)) work_.wait(lock);
  }
}

void IngestPipeline::wake(std::size_t pieces) {
  for (std::size_t i = 0; i < std::min(pieces, workers_.size()); ++i) work_.notify_one();
}

// What is nearest to the end goes first: it frees most.
bool IngestPipeline::step(Lock& lock) { return step_seal(lock) || step_assemble(lock) || step_hash(lock); }

bool IngestPipeline::step_seal(Lock& lock) {
  const auto slot = std::ranges::find(packs_, State::waiting, &PackSlot::state);
  if (slot == packs_.end()) return false;
  slot->state = State::busy;
  hold(crypto::bulk_pack_bytes);
  lock.unlock();
  SealedPack sealed = stages_.seal(std::move(slot->image));
  lock.lock();
  held_ -= crypto::bulk_pack_bytes + slot->bytes;
  slot->bytes = sealed.bytes.capacity();
  hold(slot->bytes);
  slot->sealed = std::move(sealed);
  slot->state = State::done;
  owner_.notify_one();
  return true;
}

/// Those from `first` on that are in `state`, up to run_bytes.
std::vector<IngestPipeline::BatchSlot*> IngestPipeline::run_from(std::list<BatchSlot>::iterator first, State state) {
  std::vector<BatchSlot*> out;
  for (std::size_t bytes = 0; first != batches_.end() && first->hashed == state && bytes < run_bytes; ++first) {
    out.push_back(&*first);
    bytes += first->bytes;
  }
  return out;
}

bool IngestPipeline::step_assemble(Lock& lock) {
  if (!is_front_hashed()) return false;
  assembling_ = true;
  const std::vector<BatchSlot*> run = run_from(batches_.begin(), State::done);  // they stay there: only who assembles takes from the front
  std::vector<PackImage> images;
  std::vector<Bytes> to_reuse;
  lock.unlock();
  for (BatchSlot* slot : run) {
    stages_.assemble(slot->batch, images);
    Bytes buffer = std::move(slot->batch.buffer);
    if (buffer.size() == batch_bytes) to_reuse.push_back(std::move(buffer));
  }
  lock.lock();
  for (PackImage& image : images) add_image(std::move(image));
  for (const BatchSlot* slot : run) {
    batches_bytes_ -= slot->bytes;
    held_ -= slot->bytes;
    batches_.pop_front();
  }
  for (Bytes& buffer : to_reuse) {
    if (free_buffers_.size() == 2) break;
    hold(buffer.capacity());
    free_buffers_.push_back(std::move(buffer));
  }
  assembling_ = false;
  wake(images.size());
  owner_.notify_one();
  return true;
}

bool IngestPipeline::step_hash(Lock& lock) {
  const std::vector<BatchSlot*> run = run_from(std::ranges::find(batches_, State::waiting, &BatchSlot::hashed), State::waiting);
  if (run.empty()) return false;
  for (BatchSlot* slot : run) slot->hashed = State::busy;
  lock.unlock();
  for (BatchSlot* slot : run) stages_.hash(slot->batch);
  lock.lock();
  for (BatchSlot* slot : run) slot->hashed = State::done;
  return true;  // who hashed the front puts it into packs next
}

Result<void> IngestPipeline::deliver(Lock& lock) {
  if (error_) return std::unexpected(*error_);
  while (!packs_.empty() && packs_.front().state == State::done) {
    PackSlot slot = std::move(packs_.front());
    packs_.pop_front();
    packs_taken_ += 1;
    pack_bytes_taken_ += slot.sealed.bytes.size();
    lock.unlock();
    work_.notify_one();  // there is room for another
    auto taken = sink_(std::move(slot.sealed));
    lock.lock();
    held_ -= slot.bytes;
    if (!taken) error_ = std::move(taken.error());
    if (error_) return std::unexpected(*error_);
  }
  return {};
}

template <class Done>
Result<void> IngestPipeline::wait_for(Lock& lock, Done done) {
  for (;;) {
    TRY(deliver(lock));
    if (done()) return {};
    if (std::exchange(unannounced_bytes_, 0) > 0) wake(workers_.size());
    if (step(lock)) continue;
    owner_.wait(lock);  // the lock was not let go since deliver() looked
  }
}

Bytes IngestPipeline::take_buffer(std::size_t size) {
  const std::lock_guard lock(mutex_);
  if (size == batch_bytes && !free_buffers_.empty()) {
    Bytes out = std::move(free_buffers_.back());
    free_buffers_.pop_back();
    return out;
  }
  hold(size);
  return Bytes(size);
}

void IngestPipeline::give_back(Bytes&& buffer) {
  const Bytes freed = std::move(buffer);
  const std::lock_guard lock(mutex_);
  held_ -= freed.size();
}

Result<void> IngestPipeline::push(Batch batch) {
  Lock lock(mutex_);
  const std::size_t bytes = batch.buffer.size();
  TRY(wait_for(lock, [&] { return batches_.empty() || (batches_.size() < batches_most && batches_bytes_ + bytes <= batches_bytes_most); }));
  batches_bytes_ += bytes;
  batches_.push_back({std::move(batch), State::waiting, bytes});
  if (workers_.empty()) return wait_for(lock, [&] { return batches_.empty(); });
  unannounced_bytes_ += bytes;
  if (unannounced_bytes_ < announced_bytes) return {};
  unannounced_bytes_ = 0;
  work_.notify_one();
  return {};
}

Result<void> IngestPipeline::assemble_all() {
  Lock lock(mutex_);
  return wait_for(lock, [&] { return batches_.empty(); });
}

Result<void> IngestPipeline::push_image(PackImage image) {
  Lock lock(mutex_);
  TRY(wait_for(lock, [&] { return packs_.size() < packs_most; }));
  add_image(std::move(image));
  work_.notify_one();
  return {};
}

Result<void> IngestPipeline::deliver_all() {
  Lock lock(mutex_);
  return wait_for(lock, [&] { return packs_.empty(); });
}

void IngestPipeline::add_image(PackImage image) {
  const std::size_t bytes = image.plain.capacity();
  hold(bytes);
  packs_.push_back({std::move(image), {}, State::waiting, bytes});
}

void IngestPipeline::hold(std::size_t bytes) {
  held_ += bytes;
  held_peak_ = std::max(held_peak_, held_);
}

}  // namespace dozo::store

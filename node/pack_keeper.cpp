#include "node/pack_keeper.h"

namespace dozo::node {

PackKeeper::PackKeeper(store::Truth& truth, bool threaded) : truth_(truth) {
  if (threaded) thread_.emplace([this] { work(); });
}

PackKeeper::~PackKeeper() {
  if (!thread_) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_->join();
}

Result<void> PackKeeper::write(const std::vector<Pack>& batch) {
  store::TruthWrite write = TRY(truth_.write());
  write.expect_no_reads();  // a large save would otherwise push everything else out of the machine's memory
  for (const Pack& pack : batch) TRY(write.put_pack(pack.address, pack.sealed));
  return write.commit();
}

std::vector<PackKeeper::Pack> PackKeeper::next_batch() {
  std::vector<Pack> out;
  std::size_t bytes = 0;
  while (!queue_.empty() && (out.empty() || bytes + queue_.front().sealed.size() <= batch_bytes_most)) {
    bytes += queue_.front().sealed.size();
    out.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return out;
}

void PackKeeper::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || (!queue_.empty() && !fault_); });
    if (stop_) return;
    const std::vector<Pack> batch = next_batch();
    writing_ = true;
    lock.unlock();
    Result<void> done = write(batch);
    lock.lock();
    writing_ = false;
    for (const Pack& pack : batch) queued_bytes_ -= pack.sealed.size();
    if (!done) fault_ = std::move(done.error());
    changed_.notify_all();
  }
}

Result<void> PackKeeper::keep(const PackAddress& address, Bytes sealed) {
  std::unique_lock lock(mutex_);
  if (thread_) changed_.wait(lock, [&] { return fault_ || queued_bytes_ + sealed.size() <= queued_bytes_most; });
  if (fault_) return std::unexpected(*fault_);
  queued_bytes_ += sealed.size();
  queue_.push_back({address, std::move(sealed)});
  if (thread_) {
    changed_.notify_all();
    return {};
  }
  lock.unlock();
  return queued_bytes_ >= batch_bytes_most ? finish() : Result<void>();
}

Result<void> PackKeeper::finish() {
  std::unique_lock lock(mutex_);
  if (thread_) {
    changed_.wait(lock, [&] { return fault_ || (queue_.empty() && !writing_); });
  } else {
    while (!queue_.empty() && !fault_) {
      const std::vector<Pack> batch = next_batch();
      for (const Pack& pack : batch) queued_bytes_ -= pack.sealed.size();
      if (Result<void> done = write(batch); !done) fault_ = std::move(done.error());
    }
  }
  return fault_ ? Result<void>(std::unexpected(*fault_)) : Result<void>();
}

}  // namespace dozo::node
